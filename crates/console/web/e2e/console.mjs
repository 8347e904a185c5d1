// The console in a real browser against the real server and a simulated fleet.
// Started by `cargo test -p enroute --test console` with the binary and the folder
// for the pictures; exits with 0 only when everything held.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { browse, HANG_MS, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: console.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const TRANSFERS = 6;
const WIDE = { width: 1920, height: 1080 };
const TABLET = { width: 1024, height: 1366 };
const elsewhere = [];
const errors = [];

/** A page with these settings; all that goes wrong on it is kept. */
async function open(browser, url, settings, viewport = WIDE) {
  const context = await browser.newContext({ viewport, colorScheme: "dark", locale: "en-GB" });
  context.setDefaultTimeout(HANG_MS);
  await context.addInitScript((kept) => {
    if (!localStorage.getItem("enroute-console")) localStorage.setItem("enroute-console", kept);
  }, JSON.stringify(settings));
  const page = await context.newPage();
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("data:")) elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // A server that is killed in the test is a network error; a policy broken is ours.
    if (message.type() === "error" && /policy|svelte|uncaught/i.test(message.text())) errors.push(message.text());
  });
  await page.goto(url);
  return page;
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = serious.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 4).join(" | ")}`);
  assert.deepEqual(told, [], `accessibility of ${where}`);
}

async function step(what, act) {
  const began = Date.now();
  await act();
  console.log(`ok  ${what} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

/** Opens the page in another light, language and size, waits, takes a picture. */
async function picture(browser, url, name, settings, viewport, ready) {
  const page = await open(browser, url, settings, viewport);
  await ready(page);
  await page.screenshot({ path: join(pictures, `${name}.png`) });
  await page.context().close();
}

const cards = (page) => page.waitForFunction((n) => document.querySelectorAll(".card .vital[data-id=hr] .reading").length >= n, TRANSFERS);
/** All are there; by now some have lost their link or a sensor. */
const listed = (page) => page.waitForFunction((n) => document.querySelectorAll(".card").length >= n && document.querySelector(".card .reading"), TRANSFERS);
const drawn = (page) =>
  page.waitForFunction(() => {
    const canvases = [...document.querySelectorAll("canvas.trace")];
    const inked = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte, at) => at % 4 === 3 && byte > 0);
    return canvases.length >= 4 && canvases.every(inked);
  });

const stack = new Stack(binary);
let browser;
try {
  await stack.prepare();
  let server = await stack.serve();
  const fleet = stack.simulate(TRANSFERS, 3);
  browser = await browse();
  const page = await open(browser, stack.url, { language: "en", theme: "night", zone: "utc" });

  await step("the board shows every transfer, live and marked as an exercise", async () => {
    await cards(page);
    await page.waitForSelector(".stream[data-live=true]");
    assert.match(await page.textContent(".primary"), /primary alarm/);
    assert.equal(await page.locator(".card .exercise").count(), TRANSFERS);
    assert.match(await page.textContent("body"), /EXERCISE: simulated/);
    await accessible(page, "the board");
    await page.screenshot({ path: join(pictures, "board-night-en.png") });
  });

  await step("cards are searched, filtered and pinned by keys", async () => {
    const code = await page.textContent(".card a.code");
    await page.keyboard.press("/");
    await page.keyboard.type(code);
    await page.waitForFunction(() => document.querySelectorAll(".card").length === 1);
    await page.keyboard.press("Escape");
    await page.waitForFunction((n) => document.querySelectorAll(".card").length === n, TRANSFERS);
    await page.keyboard.press("ArrowRight");
    const focused = await page.evaluate(() => document.activeElement.closest("[data-transfer]")?.dataset.transfer);
    assert(focused, "an arrow key chooses a card");
    await page.keyboard.press("p");
    await page.waitForSelector(`[data-transfer="${focused}"] .pin.pinned`);
    await page.keyboard.press("p");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`article.patient[data-transfer="${focused}"]`);
  });

  await step("the patient has sweeping waveforms, values, course, journey and completeness", async () => {
    await drawn(page);
    await page.waitForSelector(".tile[data-id=hr] .value.reading");
    await page.waitForSelector("figure.strip canvas");
    await page.waitForSelector(".map canvas");
    await page.waitForFunction(() => document.querySelectorAll("article tbody tr").length >= 2);
    await accessible(page, "the patient");
    await page.screenshot({ path: join(pictures, "patient-night-en.png") });
  });

  await step("language, light, units and time zone are the reader's", async () => {
    await page.keyboard.press("l");
    await page.waitForSelector("html[lang=zh-Hans]");
    assert.match(await page.textContent(".tile[data-id=hr]"), /心率/);
    await page.keyboard.press("d");
    await page.waitForSelector("html[data-theme=day]");
    await accessible(page, "the patient by day in Chinese");
    await page.keyboard.press("l");
    await page.keyboard.press("d");
    await page.click("header >> text=Settings");
    await accessible(page, "the settings");
    await page.click("dialog >> text=kPa");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector(".tile[data-id=nibp], .tile[data-id=abp]")?.textContent.includes("kPa"));
    assert.match(await page.textContent("header time"), /UTC/);
  });

  await step("looking back is unmistakable, goes from alert to alert, and one key returns", async () => {
    const transfer = await page.getAttribute("article.patient", "data-transfer");
    await page.keyboard.press("r");
    await page.waitForSelector('.replay[data-open=true][data-state="PLAYING"]');
    await page.waitForSelector(".tile[data-id=hr] .value.reading");
    await page.keyboard.press(" ");
    await page.waitForSelector('.replay[data-state="PAUSED"]');
    assert.match(await page.textContent(".replay .band"), /LOOKING BACK/);
    await page.waitForSelector(".stream[data-live=true]");
    assert.equal(await page.locator(".replay .acts button").count(), 0, "nobody acts on the past");
    const at = () => page.getAttribute(".replay input[type=range]", "aria-valuetext");
    const before = await at();
    await page.keyboard.press(".");
    await page.waitForFunction((was) => document.querySelector(".replay input[type=range]").getAttribute("aria-valuetext") !== was, before);
    await accessible(page, "looking back");
    await page.screenshot({ path: join(pictures, "looking-back.png") });
    await page.keyboard.press("Escape");
    await page.waitForSelector(`article.patient[data-transfer="${transfer}"]`);
    await page.waitForSelector(".replay", { state: "detached" });
  });

  await step("recordings are listed and replayed, at any speed, from any moment", async () => {
    const patient = page.url();
    await page.click("header >> text=Recordings");
    await page.waitForFunction((n) => document.querySelectorAll(".recordings tbody tr").length >= n, TRANSFERS);
    await accessible(page, "the recordings");
    await page.screenshot({ path: join(pictures, "recordings.png") });
    await page.click(".recordings tbody a");
    await page.waitForSelector('.replay[data-state="PLAYING"]');
    await drawn(page);
    await page.keyboard.press("+");
    await page.waitForFunction(() => document.querySelector(".replay .bar select").value === "2");
    await page.keyboard.press(" ");
    await page.waitForSelector('.replay[data-state="PAUSED"]');
    await page.screenshot({ path: join(pictures, "replay.png") });
    await page.goto(patient);
    await page.waitForSelector("article.patient");
    await page.waitForSelector(".replay", { state: "detached" });
    await drawn(page);
    await page.waitForSelector(".tile[data-id=hr] .value.reading");
  });

  await step("sound is off until an act turns it on, and says so", async () => {
    await page.waitForSelector("button[data-sound=off]");
    assert.match(await page.textContent("button[data-sound]"), /OFF/);
    await page.keyboard.press("s");
    await page.waitForSelector("button[data-sound=on]");
    await page.waitForFunction(() => Number(document.querySelector("button[data-sound]").dataset.sounded) > 0);
  });

  await step("old values leave their place and are dated; the lost link is told", async () => {
    fleet.kill("SIGSTOP");
    await page.waitForSelector(".tile[data-id=hr][data-stale=true] s");
    assert.equal(await page.locator(".tile[data-id=hr] .reading").count(), 0);
    await page.waitForSelector(".wave .stopped");
    await page.waitForSelector('.journey .link[data-state="lost"]');
    await page.screenshot({ path: join(pictures, "patient-stale.png") });
  });

  await step("an alert is acknowledged in the name of who is asked once, and its signals end", async () => {
    const mine = page.locator(".acts button", { hasText: "Acknowledge" });
    await mine.first().click();
    await page.waitForSelector("#who-name");
    await accessible(page, "the question who acts");
    await page.screenshot({ path: join(pictures, "who.png") });
    await page.keyboard.press("Escape");
    await page.waitForSelector("#who-name", { state: "detached" });
    assert.equal(await page.locator("b.seen").count(), 0, "nobody acts without a name");
    await mine.first().click();
    await page.keyboard.type("Dr. Weber");
    await page.keyboard.press("Enter");
    await page.waitForSelector("b.seen");
    assert.match(await page.textContent("b.seen"), /acknowledged by Dr\. Weber/);
    const shown = await page.evaluate(() => JSON.parse(localStorage.getItem("enroute-console")).name);
    assert.equal(shown, "Dr. Weber");
    fleet.kill("SIGCONT");
    await page.waitForSelector(".tile[data-id=hr] .value.reading");
  });

  await step("limits are set around the value of now, with who and why, and taken back", async () => {
    await page.click(".limits button");
    await accessible(page, "the limits");
    await page.fill("dialog input >> nth=4", "stable like this");
    await page.screenshot({ path: join(pictures, "limits.png") });
    await page.click("dialog >> text=Around the value of now");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.waitForFunction(() => /Dr\. Weber.*stable like this/.test(document.querySelector(".limits li")?.textContent));
    await page.click(".limits button");
    await page.fill("dialog input >> nth=4", "over");
    await page.click("dialog >> text=Back to the rule book");
    await page.waitForFunction(() => /No limits/.test(document.querySelector(".limits li")?.textContent));
  });

  await step("notes go to the crew and come back, each with how far it has come, through an outage", async () => {
    const before = page.url();
    let box = await stack.gateway();
    const crew = await open(browser, stack.crew, {}, TABLET);
    await crew.waitForFunction(() => document.getElementById("transfer").textContent !== "none");
    const transfer = await crew.textContent("#transfer");
    await page.goto(`${stack.url}/#/patient/${transfer}`);
    await page.waitForSelector(`article.patient[data-transfer="${transfer}"] .tile[data-id=hr] .value.reading`);
    const send = async (text) => {
      await page.fill("#note-text", text);
      await page.click(".notes form button");
      await page.waitForFunction((wanted) => [...document.querySelectorAll(".notes li p")].some((one) => one.textContent === wanted), text);
    };
    const way = (text, wanted) =>
      page.waitForFunction(([text, wanted]) => [...document.querySelectorAll(".notes li")].some((one) => one.querySelector("p")?.textContent === text && one.dataset.way === wanted), [text, wanted]);
    await send("MAP above 65, please");
    await way("MAP above 65, please", "delivered");
    await crew.waitForSelector("#notes .unread >> text=MAP above 65");
    await accessible(crew, "the crew's page");
    await crew.screenshot({ path: join(pictures, "crew-note.png"), fullPage: true });
    await crew.click("text=I have read the notes");
    await way("MAP above 65, please", "read");
    // The box is gone for a while: what is written meanwhile waits for it.
    box.kill("SIGKILL");
    await send("Theatre is ready");
    await way("Theatre is ready", "sent");
    await page.screenshot({ path: join(pictures, "notes.png") });
    box = await stack.gateway();
    await way("Theatre is ready", "delivered");
    await crew.goto(stack.crew);
    await crew.waitForSelector("#notes .unread >> text=Theatre is ready");
    await crew.fill("textarea[name=text]", "Two more hours");
    await crew.click("text=Send note");
    await way("Two more hours", "unread");
    await crew.waitForFunction(() => [...document.querySelectorAll("#notes .ours")].some((one) => /at the hospital/.test(one.textContent)));
    await accessible(page, "the notes");
    await page.click(".notes .read");
    await way("Two more hours", "read");
    await crew.waitForFunction(() => [...document.querySelectorAll("#notes .ours")].some((one) => /read by Dr\. Weber/.test(one.textContent)));
    await crew.screenshot({ path: join(pictures, "crew-read.png"), fullPage: true });
    await crew.context().close();
    box.kill("SIGKILL");
    await page.goto(before);
    await page.waitForSelector(".tile[data-id=hr] .value.reading");
  });

  await step("a server that is gone cannot be overlooked, and has its own sound", async () => {
    server.kill("SIGKILL");
    await page.waitForSelector(".band.dead");
    await page.waitForSelector("main.not-live");
    assert.match(await page.textContent(".band.dead"), /NOT LIVE/);
    assert.match(await page.title(), /NOT LIVE/);
    await page.waitForSelector("button[data-sound=on][data-last=server]");
    await page.screenshot({ path: join(pictures, "patient-server-gone.png") });
    await page.keyboard.press("b");
    await page.waitForSelector(".cards");
    await page.screenshot({ path: join(pictures, "board-server-gone.png") });
  });

  await step("it comes back by itself, and goes on", async () => {
    server = await stack.serve();
    await page.waitForSelector(".stream[data-live=true]");
    await page.waitForSelector(".band.dead", { state: "detached" });
    await page.waitForSelector("main:not(.not-live)");
    await cards(page);
  });

  await step("pictures of the other languages, lights and screens", async () => {
    // One that sends now: others have lost their link or a sensor by this time.
    const patient = await page.getAttribute(".card:has(.link[data-state=up]):has(.vital[data-id=hr] .reading):has(.vital[data-id=spo2] .reading)", "data-transfer");
    const there = `${stack.url}/#/patient/${patient}`;
    const day = { language: "zh", theme: "day" };
    await picture(browser, stack.url, "board-day-zh", day, WIDE, listed);
    await picture(browser, stack.url, "board-day-zh-tablet", day, TABLET, listed);
    await picture(browser, there, "patient-day-zh", day, WIDE, drawn);
    await picture(browser, there, "patient-day-zh-tablet", day, TABLET, drawn);
    await picture(browser, there, "patient-night-en-tablet", { language: "en", theme: "night" }, TABLET, drawn);
    await picture(browser, stack.url, "board-wall", { language: "en", theme: "night", size: "wall" }, WIDE, listed);
  });

  assert.deepEqual(elsewhere, [], "the page asks this server only");
  assert.deepEqual(errors, [], "the page has no errors");
  console.log(`all held; pictures in ${pictures}`);
} catch (error) {
  console.error(error);
  const left = browser?.contexts().flatMap((context) => context.pages()) ?? [];
  for (const [at, page] of left.entries()) await page.screenshot({ path: join(pictures, `failed-${at}.png`) }).catch(() => undefined);
  process.exitCode = 1;
} finally {
  await browser?.close();
  stack.stop();
}
