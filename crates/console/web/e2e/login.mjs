// Logging in to a server that asks for tokens, in a real browser: what is shown
// before, during and after. Started by `cargo test -p enroute --test console`; exits
// with 0 only when everything held.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browse, HANG_MS, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: login.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });

const file = join(mkdtempSync(join(tmpdir(), "enroute-login-")), "tokens.toml");
const token = (...args) => execFileSync(binary, ["token", ...args, "--file", file], { encoding: "utf8" }).trim();
const made = token("create", "--name", "Ada", "--role", "viewer");

const stack = new Stack(binary);
let browser;
try {
  await stack.prepare(null, `[access]\ntokens = ${JSON.stringify(file)}\n`);
  await stack.serve();
  await stack.gateway();
  browser = await browse();
  const context = await browser.newContext({ locale: "en-GB" });
  context.setDefaultTimeout(HANG_MS);
  const page = await context.newPage();
  const asked = () => page.waitForSelector("#login-token");
  // The page is loaded anew behind it.
  const enter = async (text) => {
    await page.fill("#login-token", text);
    await Promise.all([page.waitForEvent("load"), page.click("form button")]);
  };
  const kept = () => page.evaluate(() => [JSON.stringify(sessionStorage), JSON.stringify(localStorage)]);

  await page.goto(stack.url);
  await asked();
  assert.equal(await page.locator("header").count(), 0, "nothing else is shown");
  await page.screenshot({ path: join(pictures, "login.png") });
  await enter("enroute_00000000_0");
  await asked();
  assert.match(await page.textContent("main"), /not known here/);

  await enter(made);
  const transfer = await page.getAttribute(".card", "data-transfer");
  const [session, local] = await kept();
  assert(session.includes(made) && !local.includes(made), "kept with the tab alone");
  await page.click(`.card a.code`);
  await page.waitForFunction((id) => location.hash.includes(id), transfer);
  await Promise.all([page.waitForEvent("load"), page.click("text=Log out")]);
  await asked();
  assert(!(await page.content()).includes(transfer) && !page.url().includes(transfer), "nothing of a patient is left");
  assert(!(await kept()).join().includes(made), "nor the token");

  // Until the next page is there this one goes on asking; what was entered is not its.
  let release;
  const released = new Promise((done) => (release = done));
  const slow = async (route) => {
    if (route.request().isNavigationRequest()) await released;
    await route.continue();
  };
  await page.route("**/*", slow);
  await page.fill("#login-token", made);
  const loaded = page.waitForEvent("load");
  const clicked = page.click("form button");
  for (let answers = 0; answers < 2; answers++) await page.waitForResponse((response) => response.url().endsWith("/Watch"));
  release();
  await Promise.all([clicked, loaded]);
  await page.unroute("**/*", slow);
  await page.waitForSelector(".card");
  // It leaves by itself, and is loaded anew.
  const left = page.waitForEvent("load");
  token("revoke", made.slice(8, 16));
  await left;
  await asked();
  assert.equal(await page.locator(".card").count(), 0);
  assert(!(await kept()).join().includes(made), "a revoked token is forgotten");
  console.log("all held");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  stack.stop();
}
