// The console in a real browser against the real server and a simulated fleet.
// Started by `cargo test -p enroute --test console` with the binary and the folder
// for the pictures; exits with 0 only when everything held.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { alerts } from "./alerts.mjs";
import { accessible, cards as carded, drawn, elsewhere, errors, listed as all, open, picture as pictured, reachable, shoot, step, TABLET, WIDE } from "./page.mjs";
import { close } from "./protos.mjs";
import { browse, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: console.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });

const TRANSFERS = 6;
const stack = new Stack(binary);
/** The transfer of the box on board, which no simulated radio takes away. */
let onboard;
let browser;
try {
  await stack.prepare();
  let server = await stack.serve();
  const fleet = stack.simulate(TRANSFERS, 3);
  browser = await browse();
  const page = await open(browser, stack.url, { language: "en", theme: "night", zone: "utc" });

  await step("the board shows every transfer, live and marked as an exercise", async () => {
    await carded(page, TRANSFERS);
    await page.waitForSelector(".stream[data-live=true]");
    assert.match(await page.textContent(".primary"), /primary alarm/);
    assert.equal(await page.locator(".card .exercise").count(), TRANSFERS);
    // Who comes, how sick, and when: of each, at a glance.
    await page.waitForFunction((n) => document.querySelectorAll(".card .eta .within").length === n, TRANSFERS);
    const whole = await page.locator(".card").evaluateAll((cards) =>
      cards.map((card) => [".concern strong", ".hospital", ".vehicle", ".eta .at", ".link"].map((part) => card.querySelector(part)?.textContent.trim())),
    );
    for (const parts of whole) {
      assert.ok(parts.every((part) => part), `a card lacks something: ${parts}`);
      assert.doesNotMatch(parts.join(), /No headline|unassigned|unknown/i);
    }
    await reachable(page, "the board");
    assert.match(await page.textContent("body"), /EXERCISE: simulated/);
    await accessible(page, "the board");
    await shoot(page, pictures, "board-night-en");
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
    await shoot(page, pictures, "patient-night-en");
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
    await reachable(page, "the settings");
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
    await reachable(page, "looking back");
    await shoot(page, pictures, "looking-back");
    await page.keyboard.press("Escape");
    await page.waitForSelector(`article.patient[data-transfer="${transfer}"]`);
    await page.waitForSelector(".replay", { state: "detached" });
  });

  await step("recordings are listed and replayed, at any speed, from any moment", async () => {
    const patient = page.url();
    await page.click("header >> text=Recordings");
    await page.waitForFunction((n) => document.querySelectorAll(".recordings tbody tr").length >= n, TRANSFERS);
    await accessible(page, "the recordings");
    await reachable(page, "the recordings");
    await shoot(page, pictures, "recordings");
    await page.click(".recordings tbody a");
    await page.waitForSelector('.replay[data-state="PLAYING"]');
    await drawn(page);
    await page.keyboard.press("+");
    await page.waitForFunction(() => document.querySelector(".replay .bar select").value === "2");
    await page.keyboard.press(" ");
    await page.waitForSelector('.replay[data-state="PAUSED"]');
    await shoot(page, pictures, "replay");
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
    await shoot(page, pictures, "patient-stale");
  });

  await step("an alert is acknowledged in the name of who is asked once, and its signals end", async () => {
    const mine = page.locator(".acts button", { hasText: "Acknowledge" });
    await mine.first().click();
    await page.waitForSelector("#who-name");
    await accessible(page, "the question who acts");
    await shoot(page, pictures, "who");
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
    await shoot(page, pictures, "limits");
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
    onboard = transfer;
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
    await shoot(page, pictures, "notes");
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
    await crew.click("button >> text=中文");
    await crew.waitForSelector("html[lang=zh-Hans]");
    await crew.waitForFunction(() => /医院正在接收/.test(document.getElementById("headline").textContent));
    await crew.waitForFunction(() => [...document.querySelectorAll("#notes .ours")].some((one) => /Dr\. Weber.*已读/.test(one.textContent)));
    await accessible(crew, "the crew's page in Chinese");
    await reachable(crew, "the crew's page");
    await crew.screenshot({ path: join(pictures, "crew-zh.png"), fullPage: true });
    await crew.click("button >> text=English");
    await crew.waitForSelector("html[lang=en]");
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
    await shoot(page, pictures, "patient-server-gone");
    await page.keyboard.press("b");
    await page.waitForSelector(".cards");
    await shoot(page, pictures, "board-server-gone");
  });

  await step("it comes back by itself, and goes on", async () => {
    server = await stack.serve();
    await page.waitForSelector(".stream[data-live=true]");
    await page.waitForSelector(".band.dead", { state: "detached" });
    await page.waitForSelector("main:not(.not-live)");
    await carded(page, TRANSFERS);
  });

  await step("pictures of the other languages, lights and screens", async () => {
    const box = await stack.gateway();
    const there = `${stack.url}/#/patient/${onboard}`;
    const day = { language: "zh", theme: "day" };
    await pictured(browser, stack.url, pictures, "board-day-zh", day, WIDE, (page) => all(page, TRANSFERS));
    await pictured(browser, stack.url, pictures, "board-day-zh-tablet", day, TABLET, (page) => all(page, TRANSFERS));
    await pictured(browser, there, pictures, "patient-day-zh", day, WIDE, drawn);
    await pictured(browser, there, pictures, "patient-day-zh-tablet", day, TABLET, drawn);
    await pictured(browser, there, pictures, "patient-night-en-tablet", { language: "en", theme: "night" }, TABLET, drawn);
    await pictured(browser, stack.url, pictures, "board-wall", { language: "en", theme: "night", size: "wall" }, WIDE, (page) => all(page, TRANSFERS));
    box.kill("SIGKILL");
  });

  await alerts(browser, binary, pictures);

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
  await close();
}
