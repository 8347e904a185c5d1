// Who a patient is, in a real browser: said, shown, and gone; to those who may, on the
// patient's page alone. Started by `cargo test -p enroute --test console`; exits with 0
// only when everything held.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browse, HANG_MS, Stack } from "./stack.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary && pictures, "usage: identity.mjs BINARY FOLDER");
mkdirSync(pictures, { recursive: true });

const dir = mkdtempSync(join(tmpdir(), "enroute-identity-"));
const [file, keys] = [join(dir, "tokens.toml"), join(dir, "keys")];
const token = (role) => execFileSync(binary, ["token", "create", "--name", `Dr. ${role}`, "--role", role, "--file", file], { encoding: "utf8" }).trim();
const clinician = token("clinician");
const viewer = token("viewer");
writeFileSync(keys, `1 ${"7a".repeat(32)}\n`, { mode: 0o600 });
const quoted = (text) => JSON.stringify(text);

const NAME = "Zwackelmann";
const stack = new Stack(binary);
let browser;
try {
  await stack.prepare(null, `[access]\ntokens = ${quoted(file)}\n[identity]\ndir = ${quoted(join(dir, "who"))}\nkeys = ${quoted(keys)}\n`);
  const server = await stack.serve();
  await stack.gateway();
  browser = await browse();

  const addresses = [];
  const enter = async (shown, search = "") => {
    const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1600, height: 1000 } });
    context.setDefaultTimeout(HANG_MS);
    const page = await context.newPage();
    page.on("request", (request) => addresses.push(request.url()));
    page.asked = 0;
    page.on("request", (request) => (page.asked += Number(request.url().includes("Identities"))));
    await page.goto(stack.url + search);
    await page.fill("#login-token", shown);
    await Promise.all([page.waitForEvent("load"), page.click("form button")]);
    await page.waitForSelector(".card");
    return page;
  };
  const open = async (page) => {
    await page.click(".card a.code");
    await page.waitForSelector("article.patient h1");
  };

  const page = await enter(clinician);
  await open(page);
  await page.waitForSelector("text=Nobody has said yet who this is");
  await page.click("text=Say who it is");
  await page.fill("input[name=family]", NAME);
  await page.fill("input[name=given]", "Petronella");
  await page.fill("input[name=birth]", "1958-02-28");
  await page.fill("input[name=number]", "HUG-90817263");
  await page.selectOption("select[name=basis]", "vital_interests");
  await page.selectOption("select[name=consent]", "unable");
  await page.fill("input[name=consent-remark]", "asleep");
  await page.screenshot({ path: join(pictures, "identity-dialog.png") });
  await page.click("button[name=store]");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.waitForSelector(`section.who:has-text("${NAME}, Petronella")`);
  const line = await page.textContent("section.who");
  for (const word of ["born 1958-02-28", "record HUG-90817263", "vital interests", "could not be asked"]) {
    assert(line.includes(word), `${word}: ${line}`);
  }
  await page.screenshot({ path: join(pictures, "identity.png") });

  // Behind the patient it is gone, and it is asked for again.
  await page.click("text=Board");
  await page.waitForSelector(".card");
  assert(!(await page.content()).includes(NAME), "on the board");
  await open(page);
  await page.waitForSelector(`section.who:has-text("${NAME}")`);
  const kept = () => page.evaluate(() => JSON.stringify([sessionStorage, localStorage, location.href, document.title]));
  assert(!(await kept()).includes(NAME), "kept in the browser");
  await Promise.all([page.waitForEvent("load"), page.click("text=Log out")]);
  await page.waitForSelector("#login-token");
  assert(!(await page.content()).includes(NAME) && !(await kept()).includes(NAME), "left after logging out");

  const other = await enter(viewer);
  // The server refuses.
  const answered = other.waitForResponse((response) => response.url().includes("Identities"));
  await open(other);
  await (await answered).finished();
  await other.click("text=Board");
  await open(other);
  assert.equal(await other.locator(".who").count(), 0, "to somebody who may not");
  assert(!(await other.content()).includes(NAME));

  // A wall asks nobody, whoever logged in there.
  const wall = await enter(clinician, "/?role=wall");
  await open(wall);
  await wall.waitForSelector(".tiles");
  assert.equal(wall.asked, 0, "a wall asks who it is");
  assert(!(await wall.content()).includes(NAME), "on a wall");

  assert(addresses.length > 0 && !addresses.some((url) => url.includes(NAME) || url.includes("90817263")), "in an address");
  assert(!server.words.some((words) => words.includes(NAME)), "in the log");
  console.log("all held");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  stack.stop();
}
