// Logging in at an issuer, and being logged out where nobody touches the screen, in a
// real browser. Started by `cargo test -p enroute --test console`; exits with 0 only when
// everything held.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Issuer } from "./issuer.mjs";
import { browse, HANG_MS, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: account.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });

const file = join(mkdtempSync(join(tmpdir(), "enroute-account-")), "tokens.toml");
const create = (...args) => execFileSync(binary, ["token", "create", "--file", file, ...args], { encoding: "utf8" }).trim();
const wall = create("--name", "hall", "--role", "wall");

const issuer = new Issuer("enroute-console", { name: "Dr. Weber", roles: ["doctor"], hospitals: ["*"] });
const stack = new Stack(binary);
let browser;
try {
  await issuer.start();
  const access = `[access]
tokens = ${JSON.stringify(file)}
[access.oidc]
issuer = "${issuer.url}"
audience = "enroute"
client_id = "enroute-console"
hospital_claim = "hospitals"
all = "*"
[access.oidc.roles]
doctor = "clinician"
`;
  await stack.prepare(null, access);
  await stack.serve();
  await stack.gateway();
  browser = await browse();
  const context = await browser.newContext({ locale: "en-GB" });
  context.setDefaultTimeout(HANG_MS);
  const page = await context.newPage();
  const refusals = [];
  page.on("console", (message) => message.text().includes("Content Security Policy") && refusals.push(message.text()));
  const kept = () => page.evaluate(() => JSON.stringify(sessionStorage) + JSON.stringify(localStorage));
  // The issuer may be described a moment after the server is ready.
  const offered = async () => {
    await page.waitForSelector(".account");
    while (await page.locator(".account").isDisabled()) {
      await Promise.all([page.waitForEvent("load"), page.reload()]);
      await page.waitForSelector(".account");
    }
  };
  const logIn = async () => {
    await page.click(".account");
    await page.click("#in");
    await page.waitForSelector(".card[data-transfer]");
  };

  // A forged way back opens nothing and does not stay in the address.
  await page.goto(`${stack.url}/?code=forged&state=forged`);
  await page.waitForSelector("text=Logging in did not work (state)");
  assert.equal(new URL(page.url()).search, "");

  await page.goto(`${stack.url}/#/recordings`);
  await offered();
  await page.screenshot({ path: join(pictures, "account.png") });
  await page.click(".account");
  await page.waitForSelector("#in");
  const asked = issuer.logins.at(-1);
  assert.equal(asked.code_challenge_method, "S256");
  assert(asked.state && asked.nonce && !asked.prompt);
  await page.click("#in");
  await page.waitForURL(`${stack.url}/#/recordings`);
  await page.goto(`${stack.url}/#/`);
  const transfer = await page.getAttribute(".card[data-transfer]", "data-transfer");
  assert(!(await page.evaluate(() => JSON.stringify(localStorage))).includes("eyJ"), "kept with the tab alone");
  // What was asked is asked once: the code is gone, and so is what made it ours.
  assert(!(await kept()).includes("verifier"));

  // Out, here and at the issuer.
  await page.click(`.card a.code`);
  await page.waitForFunction((id) => location.hash.includes(id), transfer);
  await page.click("text=Log out");
  await page.waitForSelector("#out");
  assert.match(issuer.farewells.at(-1).id_token_hint, /^eyJ/);
  await page.click("#out");
  await offered();
  assert(!(await page.content()).includes(transfer) && !(await kept()).includes("eyJ"), "nothing is left");

  // A token that holds for long; the page's clock goes on by hand.
  issuer.life = 3_600;
  await page.clock.install();
  await page.goto(stack.url);
  await offered();
  await logIn();
  const before = await page.evaluate(() => sessionStorage.getItem("enroute-token"));
  // From here on it goes on by hand alone, however long the machine takes. A touch counts
  // from anew.
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1_000);
  await page.mouse.move(40, 40);
  await page.mouse.move(60, 60);
  await page.clock.fastForward(13 * 60_000);
  assert.equal(await page.locator(".idle").count(), 0);
  await page.clock.fastForward(65_000);
  await page.waitForSelector(".idle");
  await page.screenshot({ path: join(pictures, "idle.png") });
  await page.mouse.move(80, 80);
  await page.waitForSelector(".idle", { state: "detached" });
  await page.click(`.card a.code`);
  await page.waitForFunction((id) => location.hash.includes(id), transfer);
  const left = page.waitForEvent("load");
  await page.clock.fastForward(15 * 60_000 + 1_000);
  await left;
  await page.waitForSelector("text=nobody touched this screen");
  assert.equal(await page.locator(".card[data-transfer]").count(), 0);
  assert(!(await page.content()).includes(transfer) && !page.url().includes(transfer), "nothing of a patient is left");
  assert(!(await kept()).includes(before), "nor the token");
  await page.screenshot({ path: join(pictures, "idle-out.png") });
  await page.clock.resume();
  // Who comes next is asked who it is, though the issuer still knows the last one.
  await page.click(".account");
  await page.waitForSelector("#in");
  assert.equal(issuer.logins.at(-1).prompt, "login");
  await page.click("#in");
  await page.waitForSelector(".card[data-transfer]");

  // It is renewed before it is over, with a key that nobody knows yet: the page goes on,
  // and so does a playback whose token is none any more.
  await page.goto(`${stack.url}/#/replay/${transfer}`);
  // It stands: one that runs would be at the present some time, and leave this page.
  await page.click(".bar .play");
  await page.waitForSelector(".replay[data-state=PAUSED]");
  const token = () => page.evaluate(() => sessionStorage.getItem("enroute-token"));
  const hour = async () => {
    for (let minutes = 0; minutes < 60; minutes += 10) {
      await page.clock.fastForward(10 * 60_000);
      await page.mouse.move(30 + minutes, 30);
    }
  };
  const first = await token();
  issuer.rotate();
  const played = page.waitForRequest((request) => request.url().endsWith("/Play"));
  await hour();
  await page.waitForFunction((old) => ![old, null].includes(sessionStorage.getItem("enroute-token")), first);
  await played;
  await page.waitForSelector(".stream[data-live=true]");
  await page.waitForSelector(".replay[data-state=PAUSED]");
  await page.waitForSelector(".failed", { state: "detached" });
  assert(issuer.renewals >= 1);

  // What the issuer does not renew ends, and the page with it.
  issuer.forget();
  const second = await token();
  const gone = page.waitForEvent("load");
  // Somebody with the new key makes the server look.
  const other = await (await browser.newContext({ locale: "en-GB" })).newPage();
  await other.goto(stack.url);
  await other.click(".account");
  await other.click("#in");
  await other.waitForSelector(".card[data-transfer]");
  await gone;
  await page.waitForSelector("text=Your login has ended");
  assert(!(await kept()).includes(second) && !(await page.content()).includes(transfer));

  // A screen on a wall stays.
  const hall = await (await browser.newContext({ locale: "en-GB" })).newPage();
  await hall.clock.install();
  await hall.goto(stack.url);
  await hall.fill("#login-token", wall);
  await Promise.all([hall.waitForEvent("load"), hall.click("form button")]);
  await hall.waitForSelector(".card[data-transfer]");
  await hall.waitForFunction(() => document.documentElement.dataset.known === "wall");
  await hall.clock.fastForward(20 * 60_000);
  await hall.clock.fastForward(20 * 60_000);
  assert.equal(await hall.locator(".idle").count(), 0);
  await hall.waitForSelector(".card[data-transfer]");
  assert((await hall.evaluate(() => sessionStorage.getItem("enroute-token"))) === wall);
  assert.deepEqual(refusals, [], "the page asked somebody whom its policy does not name");
  console.log("all held");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  stack.stop();
  issuer.stop();
}
