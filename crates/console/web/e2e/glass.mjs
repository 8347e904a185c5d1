// Breaking the glass, in a real browser: a patient who is not theirs is denied, opened
// with a reason, marked while open, and closed again; the board goes on meanwhile.
// Started by `cargo test -p enroute --test console`; exits with 0 only when everything held.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browse, HANG_MS, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: glass.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });

const file = join(mkdtempSync(join(tmpdir(), "enroute-glass-")), "tokens.toml");
const enroute = (shown, ...args) => execFileSync(binary, args, { encoding: "utf8", env: { ...process.env, ENROUTE_TOKEN: shown } }).trim();
const token = (name, ...more) => enroute("", "token", "create", "--name", name, ...more, "--file", file);
const chief = token("Chief", "--role", "administrator");
const breaker = token("Dr. Roth", "--role", "clinician", "--hospital", "CHUV", "--break-glass");
const other = token("Dr. Kern", "--role", "clinician", "--hospital", "CHUV");
const REASON = "diverted to us, nobody of theirs answers";

const stack = new Stack(binary);
let browser;
try {
  await stack.prepare(null, `[access]\ntokens = ${JSON.stringify(file)}\n`);
  const server = await stack.serve();
  const add = (hospital) => /^\S+/.exec(enroute(chief, "transfer", "add", "--hospital", hospital, "--server", stack.url))[0];
  const [theirs, ours] = [add("HUG"), add("CHUV")];
  browser = await browse();
  const enter = async (shown, hash = "") => {
    const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1400, height: 900 } });
    context.setDefaultTimeout(HANG_MS);
    const page = await context.newPage();
    await page.goto(stack.url + hash);
    await page.fill("#login-token", shown);
    await Promise.all([page.waitForEvent("load"), page.click("form button")]);
    return page;
  };
  const patient = `/#/patient/${theirs}`;

  // Who may not is told so, and is offered nothing.
  const barred = await enter(other, patient);
  await barred.waitForSelector("section.denied");
  assert.equal(await barred.locator("button[name=break], button.glass").count(), 0);
  await barred.click("text=Back to the board");
  await barred.waitForSelector(`.card[data-transfer="${ours}"]`);
  assert.equal(await barred.locator(`.card[data-transfer="${theirs}"]`).count(), 0);

  // Who may says why, and is there.
  const page = await enter(breaker, patient);
  await page.waitForSelector("button[name=break]");
  await page.screenshot({ path: join(pictures, "glass-denied.png") });
  // The board lives meanwhile.
  await page.waitForSelector('.stream[data-live="true"]');
  await page.fill("input[name=reason]", REASON);
  await page.click("button[name=break]");
  await page.waitForSelector("article.patient h1");
  await page.waitForSelector(".glass >> text=Emergency access until");
  await page.screenshot({ path: join(pictures, "glass-open.png") });
  // Another page of the same person says so as well.
  const again = await enter(breaker, patient);
  await again.waitForSelector("p.glass");
  const told = enroute(chief, "glass", "list", "--server", stack.url);
  assert(told.includes(theirs) && told.includes("Dr. Roth") && told.includes(REASON), told);

  // What is shown goes with it, on each page.
  await page.click("button[name=end-glass]");
  for (const shown of [page, again]) {
    await shown.waitForSelector("section.denied");
    assert.equal(await shown.locator("article.patient").count(), 0);
  }
  // By its code, from the header.
  await page.click("text=Back to the board");
  await page.waitForSelector(`.card[data-transfer="${ours}"]`);
  await page.click("button.glass");
  const code = /\(([^)]+)\)/.exec(told)[1];
  await page.fill("input[name=code]", code);
  await page.fill("input[name=reason]", REASON);
  await page.screenshot({ path: join(pictures, "glass-dialog.png") });
  await page.click("button[name=break]");
  await page.waitForSelector("article.patient h1");
  await page.waitForSelector("p.glass");
  assert(page.url().includes(theirs), page.url());
  assert(!server.words.some((words) => words.includes(REASON)), "a reason in the log");
  assert(server.words.some((words) => words.includes("broke the glass")), "no warning in the log");
  console.log("all held");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  stack.stop();
}
