import { describe, expect, test } from "vitest";
import { Ringer, type Conditions } from "./ringer";
import { burst, HARMONICS, REPEAT } from "./tones";

const quiet: Conditions = { serverSilent: false, highest: "none", raised: { high: 0, medium: 0, low: 0 } };
const high: Conditions = { ...quiet, highest: "high", raised: { high: 1, medium: 0, low: 0 } };
const medium: Conditions = { ...quiet, highest: "medium", raised: { high: 0, medium: 1, low: 0 } };

describe("tones", () => {
  test("bursts have the pulses of the standard", () => {
    expect([burst("high").length, burst("medium").length, burst("low").length]).toEqual([10, 3, 2]);
    for (const pulse of burst("high")) expect(pulse.seconds).toBeLessThanOrEqual(0.2);
    for (const pulse of burst("high")) expect(pulse.seconds).toBeGreaterThanOrEqual(0.075);
    for (const pulse of burst("medium")) expect(pulse.seconds).toBeGreaterThanOrEqual(0.125);
    for (const kind of ["high", "medium", "low", "server"] as const) {
      for (const { hertz } of burst(kind)) {
        expect(hertz).toBeGreaterThanOrEqual(150);
        expect(hertz).toBeLessThanOrEqual(1_000);
        const harmonics = HARMONICS.map((_, n) => hertz * (n + 1)).filter((one) => one >= 300 && one <= 4_000);
        expect(harmonics.length).toBeGreaterThanOrEqual(4);
      }
    }
    expect(REPEAT.high).toBeLessThanOrEqual(15);
    expect(REPEAT.medium).toBeLessThanOrEqual(30);
    expect(burst("server")).not.toEqual(burst("high").slice(0, 4));
  });
});

describe("ringer", () => {
  test("rings at once, and again while it stands", () => {
    const ringer = new Ringer();
    expect(ringer.next(quiet, 0)).toBeNull();
    expect(ringer.next(high, 1)).toBe("high");
    expect(ringer.next(high, 10)).toBeNull();
    expect(ringer.next(high, 11)).toBe("high");
    expect(ringer.next(quiet, 30)).toBeNull();
  });

  test("a more urgent one breaks in when the sounding one is through; a lesser one waits its time", () => {
    const ringer = new Ringer();
    expect(ringer.next(medium, 0)).toBe("medium");
    expect(ringer.next({ ...high, raised: { high: 1, medium: 1, low: 0 } }, 1)).toBeNull();
    expect(ringer.next({ ...high, raised: { high: 1, medium: 1, low: 0 } }, 3)).toBe("high");
    expect(ringer.next({ ...medium, raised: { high: 1, medium: 1, low: 0 } }, 10)).toBeNull();
    expect(ringer.next({ ...medium, raised: { high: 1, medium: 1, low: 0 } }, 23)).toBe("medium");
  });

  test("another alert of the same priority is news", () => {
    const ringer = new Ringer();
    ringer.next(high, 0);
    expect(ringer.next({ ...high, raised: { high: 2, medium: 0, low: 0 } }, 4)).toBe("high");
    expect(ringer.next({ ...high, raised: { high: 2, medium: 0, low: 0 } }, 8)).toBeNull();
  });

  test("a silent server has its own sound, before everything that it said last", () => {
    const ringer = new Ringer();
    ringer.next(high, 0);
    expect(ringer.next({ ...high, serverSilent: true }, 3)).toBe("server");
    expect(ringer.next({ ...high, serverSilent: true }, 8)).toBeNull();
    expect(ringer.next({ ...high, serverSilent: true }, 9)).toBe("server");
    expect(ringer.next(high, 19)).toBe("high");
  });

  test("low sounds once", () => {
    const ringer = new Ringer();
    const low: Conditions = { ...quiet, highest: "low", raised: { high: 0, medium: 0, low: 1 } };
    expect(ringer.next(low, 0)).toBe("low");
    expect(ringer.next(low, 1_000)).toBeNull();
  });
});
