// What the browser tests share: pages with settings, accessibility, pictures, keys.
// Nothing waits for a time: each waits for what it wants to see.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { HANG_MS } from "./stack.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const WIDE = { width: 1920, height: 1080 };
export const TABLET = { width: 1024, height: 1366 };
/** More presses of Tab than any page has controls. */
const TABS_MAX = 600;

/** What went wrong on any page: requests to other hosts, errors of ours. */
export const elsewhere = [];
export const errors = [];

/** A page with these settings; all that goes wrong on it is kept. */
export async function open(browser, url, settings, viewport = WIDE) {
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

export async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = serious.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 4).join(" | ")}`);
  assert.deepEqual(told, [], `accessibility of ${where}`);
}

export async function step(what, act) {
  const began = Date.now();
  await act();
  console.log(`ok  ${what} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

/** A picture of the page, for people to look at. */
export async function shoot(page, folder, name) {
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Opens the page in another light, language and size, waits, takes a picture. */
export async function picture(browser, url, folder, name, settings, viewport, ready) {
  const page = await open(browser, url, settings, viewport);
  await ready(page);
  await shoot(page, folder, name);
  await page.context().close();
}

/** Each control of the page is reached by Tab. */
export async function reachable(page, where) {
  await page.evaluate(() => {
    // One of a group of radio buttons stands for all: arrows do the rest.
    window.group = (one) => (one?.type === "radio" ? `radio ${one.name}` : one);
    window.usable = () => {
      const layer = document.querySelector("dialog[open]") ?? document;
      const all = layer.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0']");
      return [...all].filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility());
    };
    window.reached = new Set();
    document.activeElement?.blur();
  });
  const left = () =>
    page.evaluate(() => {
      window.reached.add(window.group(document.activeElement));
      return window.usable().filter((one) => !window.reached.has(window.group(one))).map((one) => one.outerHTML.slice(0, 160));
    });
  let missing = await left();
  for (let tabs = 0; missing.length > 0 && tabs < TABS_MAX; tabs += 1) {
    await page.keyboard.press("Tab");
    missing = await left();
  }
  assert.deepEqual(missing, [], `by Tab on ${where}`);
}

/** Presses a key on a control, once it may be used: while an act is under way none is. */
export async function press(page, selector, key) {
  await page.locator(selector).and(page.locator(":enabled")).first().press(key);
}

export const cards = (page, n) => page.waitForFunction((n) => document.querySelectorAll(".card .vital[data-id=hr] .reading").length >= n, n);
/** All are there; by now some have lost their link or a sensor. */
export const listed = (page, n) => page.waitForFunction((n) => document.querySelectorAll(".card").length >= n && document.querySelector(".card .reading"), n);
export const drawn = (page) =>
  page.waitForFunction(() => {
    const canvases = [...document.querySelectorAll("canvas.trace")];
    const inked = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte, at) => at % 4 === 3 && byte > 0);
    return canvases.length >= 4 && canvases.every(inked);
  });

