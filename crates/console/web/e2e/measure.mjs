// Figures of the console in a real browser: from the server to pixels, frames per
// second, memory over hours of data, the first picture. No test: figures depend on
// the machine, and this one draws without a graphics card.
//
//   npm run measure -- ../../../target/release/enroute
import assert from "node:assert/strict";
import { browse, Stack } from "./stack.mjs";

const [binary, only] = process.argv.slice(2);
assert(binary, "usage: npm run measure -- BINARY [paths|frames|board|memory]");

const WIDE = { width: 1920, height: 1080 };
const SETTINGS = JSON.stringify({ language: "en", theme: "night" });
/** How long frames are counted, and how often the first picture is taken. */
const COUNT_MS = 10_000;
const TIMES = 7;
/** The gateway of the memory runs is this much faster than time. */
const SPEED = 60;
const HOURS = 3;

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
function summary(numbers, places = 0) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const word = (share) => at(sorted, share).toFixed(places);
  return `median ${word(0.5)}, p95 ${word(0.95)}, max ${at(sorted, 1).toFixed(places)} (n = ${sorted.length})`;
}

async function open(browser, url) {
  const context = await browser.newContext({ viewport: WIDE });
  context.setDefaultTimeout(300_000);
  await context.addInitScript((kept) => localStorage.setItem("enroute-console", kept), SETTINGS);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

const cards = (page, n) => page.waitForFunction((wanted) => document.querySelectorAll(".card .vital[data-id=hr] .reading").length >= wanted, n);

/** Milliseconds from the server's stamp of a value to the frame after its drawing. */
const delays = (page, selector, ms) =>
  page.evaluate(
    ([selector, ms]) =>
      new Promise((done) => {
        const found = [];
        const seen = new Map();
        const watch = new MutationObserver((changes) => {
          for (const { target } of changes) {
            if (!(target instanceof Element) || !target.matches(selector)) continue;
            const heard = Number(target.dataset.heard);
            if (!heard || seen.get(target) === heard) continue;
            const first = !seen.has(target);
            seen.set(target, heard);
            // The frame that shows it ends before the next one begins.
            if (!first) requestAnimationFrame(() => requestAnimationFrame(() => found.push(Date.now() - heard)));
          }
        });
        watch.observe(document.body, { subtree: true, attributes: true, attributeFilter: ["data-heard"] });
        setTimeout(() => (watch.disconnect(), done(found)), ms);
      }),
    [selector, ms],
  );

/** The page's pieces of work in milliseconds of processor time, which other programs
 * on the machine do not lengthen: one above 16.7 would cost a frame anywhere. */
async function pieces(session, work) {
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((done) => session.once("Tracing.tracingComplete", done));
  const traceConfig = { includedCategories: ["disabled-by-default-devtools.timeline", "devtools.timeline"] };
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig });
  await work();
  await session.send("Tracing.end");
  await complete;
  const main = events.find((one) => one.name === "FireAnimationFrame");
  const tasks = events.filter((one) => one.name === "RunTask" && one.pid === main.pid && one.tid === main.tid && one.tdur);
  const sorted = tasks.map((one) => one.tdur / 1000).sort((a, b) => a - b);
  return `longest piece of work ${sorted.at(-1).toFixed(1)} ms of processor time, ${sorted.filter((one) => one > 1000 / 60).length} of ${sorted.length} above 16.7`;
}

/** Frames drawn, how long each took, and the share of processor time of the page. */
async function frames(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const busy = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find((one) => one.name === "ThreadTime").value;
  };
  const before = await busy();
  const count = () => page.evaluate(
    (ms) =>
      new Promise((done) => {
        const spans = [];
        let last = performance.now();
        const end = last + ms;
        requestAnimationFrame(function frame(now) {
          spans.push(now - last);
          last = now;
          if (now < end) requestAnimationFrame(frame);
          else done(spans.slice(1));
        });
      }),
    COUNT_MS,
  );
  const spans = await count();
  const worked = (await busy()) - before;
  const longest = await pieces(session, count);
  const whole = spans.reduce((sum, span) => sum + span, 0);
  const slow = spans.filter((span) => span > 34).length;
  return `${((spans.length / whole) * 1000).toFixed(1)} frames/s, ms between them ${summary(spans, 1)}, ${slow} above 34 ms; main thread at work for ${((worked / (whole / 1000)) * 100).toFixed(0)} % of the time; ${longest}`;
}

async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.enable");
  await session.send("HeapProfiler.collectGarbage");
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  const of = (name) => metrics.find((one) => one.name === name).value;
  await session.detach();
  return `${(of("JSHeapUsedSize") / 2 ** 20).toFixed(1)} MiB of JavaScript, ${of("Nodes")} nodes`;
}

const wanted = (name) => only === undefined || only === name;
const running = [];
async function stack(work) {
  const one = new Stack(binary);
  running.push(one);
  await one.prepare();
  await one.serve();
  await work(one);
  one.stop();
}

const browser = await browse();
try {
  if (wanted("paths") || wanted("frames")) {
    await stack(async (one) => {
      one.simulate(6, 3);
      const page = await open(browser, one.url);
      await cards(page, 6);
      if (wanted("paths")) {
        const firsts = [];
        for (let n = 0; n < TIMES; n += 1) {
          const context = await browser.newContext({ viewport: WIDE });
          const fresh = await context.newPage();
          const began = Date.now();
          await fresh.goto(one.url);
          await cards(fresh, 6);
          firsts.push(Date.now() - began);
          await context.close();
        }
        console.log(`first picture of the board, nothing cached: ms ${summary(firsts)}`);
        console.log(`server to pixels, board of 6: ms ${summary(await delays(page, ".vital", 20_000))}`);
      }
      const patient = await page.getAttribute(".card", "data-transfer");
      await page.goto(`${one.url}/#/patient/${patient}`);
      await page.waitForFunction(() => document.querySelectorAll("canvas.trace").length >= 4);
      await page.waitForSelector(".tile[data-id=hr] .value.reading");
      if (wanted("paths")) console.log(`server to pixels, one patient with waveforms: ms ${summary(await delays(page, ".tile", 20_000))}`);
      if (wanted("frames")) console.log(`one patient, ${await page.locator("canvas.trace").count()} waveforms: ${await frames(page)}`);
    });
  }
  if (wanted("board")) {
    await stack(async (one) => {
      one.simulate(100, 3);
      const page = await open(browser, one.url);
      // Only cards in sight are drawn anew.
      await page.waitForFunction(() => document.querySelectorAll(".card").length === 100);
      await cards(page, 12);
      console.log(`board of ${await page.locator(".card").count()}: ${await frames(page)}`);
      console.log(`server to pixels, board of 100: ms ${summary(await delays(page, ".vital", 20_000))}`);
      console.log(`board of 100: ${await heap(page)}`);
    });
  }
  if (wanted("memory")) {
    await stack(async (one) => {
      await one.gateway(SPEED);
      const page = await open(browser, one.url);
      await cards(page, 1);
      const patient = await page.getAttribute(".card", "data-transfer");
      await page.goto(`${one.url}/#/patient/${patient}`);
      await page.waitForSelector(".tile[data-id=hr] .value.reading");
      console.log(`memory at the start: ${await heap(page)}`);
      for (let hour = 1; hour <= HOURS; hour += 1) {
        await page.waitForTimeout(3_600_000 / SPEED);
        console.log(`memory after ${hour} h of data at ${SPEED} times its speed: ${await heap(page)}`);
      }
    });
  }
} finally {
  await browser.close();
  for (const one of running) one.stop();
}
