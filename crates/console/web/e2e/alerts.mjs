// What becomes of an alert: who was shown it, that nobody saw to it, what is found in
// the past, what cannot be judged; and a patient's own limits. All by keyboard, with a
// vehicle that sends what the test says.
import assert from "node:assert/strict";
import { accessible, open, press, reachable, shoot, step, TABLET } from "./page.mjs";
import { proto, until } from "./protos.mjs";
import { HANG_MS, Stack } from "./stack.mjs";
import { Vehicle } from "./vehicle.mjs";

const TRANSFER = "tx-alerts";
const { ViewerRole } = await proto("transfers");
const KPA_PER_MMHG = 0.133322387415;
/** A silence that history is searched for is longer than ten seconds. */
const SILENCE_MS = 13_000;

const text = (page, selector) => page.locator(selector).allTextContents();
const says = (page, selector, wanted) =>
  page.waitForFunction(([selector, wanted]) => [...document.querySelectorAll(selector)].some((one) => new RegExp(wanted).test(one.textContent)), [selector, wanted]);

export async function alerts(browser, binary, pictures) {
  const stack = new Stack(binary);
  let vehicle;
  try {
    // Whoever is on call hears of it after the shortest time that a book may say.
    await stack.prepare({ file: "book.toml", from: "on_call_after_s = 60", to: "on_call_after_s = 10" });
    await stack.serve();
    vehicle = await Vehicle.start(stack.broker, "amb-e2e", TRANSFER);
    const state = (wanted) => until(stack.url, TRANSFER, wanted, HANG_MS);
    await state((one) => one.source.some((source) => source.value.length > 0));
    const settings = { language: "en", theme: "night", zone: "utc", pressure: "kPa", temperature: "F", name: "Dr. Weber" };
    const wall = await open(browser, `${stack.url}/?role=wall#/patient/${TRANSFER}`, settings);

    await step("what cannot be judged is said in words, not taken for normal", async () => {
      await says(wall, ".unavailable li", "ABP systolic: fell by 20 %");
      assert.match((await text(wall, "section.panel")).join(), /unknown, not normal/);
      assert.equal(await wall.locator(".band.exercise").count(), 0, "no exercise");
      await wall.keyboard.press("l");
      await says(wall, ".unavailable li", "收缩压：下降 20%");
      await wall.keyboard.press("l");
    });

    await step("an alert that is shown is reported, once by each role", async () => {
      vehicle.values.spo2 = 80;
      await wall.waitForSelector("li[data-level=high][data-phase=ACTIVE]");
      const roles = (one) => one.alert.flatMap((alert) => alert.path?.shown ?? []).map((shown) => shown.role);
      await state((one) => roles(one).includes(ViewerRole.WALL));
      const desk = await open(browser, `${stack.url}/?role=on_call`, settings);
      await desk.waitForSelector(".card[data-level=high]");
      const both = await state((one) => roles(one).includes(ViewerRole.ON_CALL));
      for (const alert of both.alert) {
        const of = (alert.path?.shown ?? []).map((shown) => shown.role);
        assert.equal(new Set(of).size, of.length, "each role once");
      }
      await desk.waitForSelector(".card .escalated");
      await shoot(desk, pictures, "board-escalated");
      await accessible(desk, "the board with an alert that nobody sees to");
      await desk.context().close();
    });

    await step("an alert that nobody sees to says so, until somebody does, by key", async () => {
      await wall.waitForSelector(".escalated[data-step='1']");
      assert.match(await wall.textContent(".escalated"), /NOBODY HAS SEEN TO IT/);
      await accessible(wall, "the patient with an alert that nobody sees to");
      await reachable(wall, "the patient's page");
      await shoot(wall, pictures, "patient-escalated");
      const unseen = "li[data-level=high][data-phase=ACTIVE]:has(.escalated)";
      await press(wall, `${unseen} .acts button >> text=Rest 2 min`, "Enter");
      await says(wall, "b.seen", "signals rest until");
      await press(wall, `${unseen} .acts button >> text=Acknowledge`, "Enter");
      await says(wall, "b.seen", "acknowledged by Dr. Weber");
      await wall.waitForSelector(unseen, { state: "detached" });
    });

    await step("a remark on an alert is typed and sent by keys", async () => {
      await press(wall, ".acts button >> text=Remark", "Enter");
      await wall.keyboard.type("probe checked");
      await wall.keyboard.press("Enter");
      await says(wall, "li q", "probe checked");
      vehicle.values.spo2 = 97;
    });

    await step("limits are typed in the reader's units by keys, and shown back", async () => {
      await press(wall, ".limits button", "Enter");
      await wall.waitForSelector("dialog[open]");
      await reachable(wall, "the form for limits");
      await wall.selectOption("dialog select", { label: "ABP systolic" });
      const field = (name) => wall.getByLabel(name, { exact: true });
      await field("High").fill("25");
      await field("Critically high").fill("26");
      await field("Why").fill("as agreed");
      await shoot(wall, pictures, "limits-kpa");
      await press(wall, "dialog button >> text=Set these limits", "Enter");
      await wall.waitForSelector("dialog", { state: "detached" });
      await says(wall, ".limits li", "25 26 kPa.*Dr. Weber.*as agreed");
      const set = await state((one) => one.rules?.own.length > 0);
      const { critHigh } = set.rules.own[0].limits;
      assert.ok(Math.abs(critHigh - 26 / KPA_PER_MMHG) < 1e-8, `26 kPa as ${critHigh} mmHg`);
      await says(wall, ".tile[data-id=abp]", "25");
      await press(wall, ".limits button", "Enter");
      await wall.selectOption("dialog select", { label: "ABP systolic" });
      assert.equal(await field("Critically high").inputValue(), "26");
      await field("Why").fill("over");
      await press(wall, "dialog button >> text=Back to the rule book", "Enter");
      await says(wall, ".limits li", "No limits");
    });

    await step("what is usual for a patient is set in the reader's units, and taken back", async () => {
      await press(wall, ".limits button", "Enter");
      await wall.selectOption("dialog select", { label: "ABP systolic" });
      await wall.getByLabel("Usual for this patient").fill("13.3");
      await wall.getByLabel("Why", { exact: true }).fill("beta blockers");
      await accessible(wall, "the form for limits");
      await press(wall, "dialog button >> text=Set as usual", "Enter");
      await says(wall, ".limits li", "usual is 13.3 kPa.*beta blockers");
      await press(wall, ".limits button", "Enter");
      await wall.selectOption("dialog select", { label: "ABP systolic" });
      await wall.getByLabel("Why", { exact: true }).fill("over");
      await press(wall, "dialog button >> text=Take the usual value back", "Enter");
      await wall.waitForFunction(() => !/usual is/.test(document.querySelector(".limits").textContent));
    });

    await step("a breach in data that came late is listed, and rings nowhere", async () => {
      vehicle.pause();
      await wall.waitForFunction((least) => Date.now() - Number(document.querySelector(".tile[data-id=hr]").dataset.heard) > least, SILENCE_MS);
      const [calm, racing] = [{ ...vehicle.values }, { ...vehicle.values, hr: 171 }];
      vehicle.resume([calm, calm, ...Array(8).fill(racing), calm, calm]);
      await says(wall, ".found li", "171");
      assert.match((await text(wall, "section.panel")).join(), /nothing rings for it/);
      const present = await text(wall, "li[data-phase=ACTIVE]");
      assert.ok(!present.join().includes("171"), `no present alert: ${present}`);
      assert.equal(await wall.locator(".found .flash").count(), 0);
      await accessible(wall, "what was found in the past");
      await shoot(wall, pictures, "patient-found");
      await wall.keyboard.press("l");
      await says(wall, ".found li", "171");
      await wall.setViewportSize(TABLET);
      await shoot(wall, pictures, "patient-found-zh-tablet");
    });
    await wall.context().close();
  } finally {
    vehicle?.stop();
    stack.stop();
  }
}
