import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { FrameSchema } from "../../gen/proto/enroute/v1/frame_pb";
import { SamplesSchema } from "../../gen/proto/enroute/v1/live_pb";
import { advance, redraw, xOf, type Pencil, type Sheet } from "./draw";
import { frameOf, runsOf, type Run } from "./runs";
import { atLeast, ecg, nice, round } from "./scale";
import { Trace } from "./trace";
import { Waves } from "./waves";

const GAIN = 200;
const START = 1_700_000_000_000;

/** A frame of one channel as a gateway writes it. */
function frame(values: readonly (number | null)[], first: number, rateHz = 250) {
  const samples: number[] = [];
  const missing: number[] = [];
  values.forEach((value, at) => {
    samples.push(value === null ? (samples.at(-1) ?? 0) : Math.round(value * GAIN));
    if (value !== null) return;
    if (missing.length > 0 && (missing.at(-2) ?? 0) + (missing.at(-1) ?? 0) === at) missing[missing.length - 1]! += 1;
    else missing.push(at, 1);
  });
  const delta = samples.map((sample, at) => sample - (samples[at - 1] ?? 0));
  return create(FrameSchema, {
    header: { capturedAtUs: BigInt(START + first * (1000 / rateHz)) * 1000n },
    body: {
      case: "waveforms",
      value: { waveform: [{ code: 131330, rateHz, gain: GAIN, baseline: 0, firstSample: BigInt(first), delta, missing }] },
    },
  });
}

function run(values: readonly (number | null)[], first: number): Run {
  const found = runsOf("gw", frame(values, first))[0];
  if (!found) throw new Error("no run");
  return found;
}

/** A canvas that remembers what was drawn and what was cleared since. */
class Paper implements Pencil {
  lines: { from: [number, number]; to: [number, number] }[] = [];
  #at: [number, number] = [0, 0];
  clearRect(x: number, _y: number, width: number): void {
    const inside = (px: number): boolean => px >= x && px <= x + width;
    this.lines = this.lines.filter((line) => !(inside(line.from[0]) && inside(line.to[0])));
  }
  beginPath(): void {}
  moveTo(x: number, y: number): void {
    this.#at = [x, y];
  }
  lineTo(x: number, y: number): void {
    this.lines.push({ from: this.#at, to: [x, y] });
    this.#at = [x, y];
  }
  stroke(): void {}
}

const SHEET: Sheet = { width: 1000, height: 100, window: 10_000, low: -1, high: 2 };
const wave = (n: number): number => Math.round(Math.sin(n / 17) * GAIN) / GAIN;

describe("runs", () => {
  test("samples come out as they were measured, and missing ones as none", () => {
    const values = [0.5, -0.25, null, null, 1, 0.75];
    const { values: out, step, start } = run(values, 0);
    expect([...out].map((value) => (Number.isNaN(value) ? null : value))).toEqual(values);
    expect(step).toBe(4);
    expect(start).toBe(START);
  });

  test("whole rates and gains stand in fields of their own", () => {
    const frame = create(FrameSchema, {
      header: {},
      body: { case: "waveforms", value: { waveform: [{ code: 1, wholeRateHz: 360, wholeGain: -200, delta: [100] }] } },
    });
    const [run] = runsOf("gw", frame);
    expect([run?.step, run?.values[0]]).toEqual([1000 / 360, -0.5]);
  });

  test("deltas wrap in 32 bits and rubbish draws nothing", () => {
    const wrapped = create(FrameSchema, {
      header: {},
      body: { case: "waveforms", value: { waveform: [{ code: 1, rateHz: 100, gain: 1, delta: [2_147_483_647, 1] }] } },
    });
    expect([...(runsOf("gw", wrapped)[0]?.values ?? [])]).toEqual([2_147_483_647, -2_147_483_648]);
    for (const [rateHz, gain] of [[0, 1], [Number.NaN, 1], [100, 0], [100, Number.POSITIVE_INFINITY]] as const) {
      const frame = create(FrameSchema, {
        header: {},
        body: { case: "waveforms", value: { waveform: [{ code: 1, rateHz, gain, delta: [1] }] } },
      });
      expect(runsOf("gw", frame)).toEqual([]);
    }
    expect(frameOf(create(SamplesSchema, { frame: new Uint8Array([255, 255]) }))).toBeNull();
  });
});

describe("fidelity", () => {
  /** Sweeps over runs as they arrive, at 60 pictures a second. */
  function sweep(runs: readonly Run[], pictures: number): { paper: Paper; trace: Trace; pen: number } {
    const [paper, trace] = [new Paper(), new Trace(4, 40_000)];
    const waiting = [...runs];
    let drawn = Number.NEGATIVE_INFINITY;
    let pen = 0;
    for (let picture = 0; picture < pictures; picture += 1) {
      const now = picture * (1000 / 60);
      while (waiting[0] && waiting[0].start - START <= now - 250) trace.extend(waiting.shift()!, now);
      if (trace.count === 0) continue;
      pen = trace.pen(now);
      if (drawn === Number.NEGATIVE_INFINITY) redraw(paper, SHEET, trace, pen);
      else advance(paper, SHEET, trace, drawn, pen);
      drawn = pen;
    }
    return { paper, trace, pen };
  }

  test("what is on the canvas is the samples, each at its time and value, gaps as gaps", () => {
    const values = Array.from({ length: 5_000 }, (_, n) => (n % 1_000 >= 400 && n % 1_000 < 450 ? null : wave(n)));
    // Two frames in the middle of the window are lost on the way.
    const lost = (n: number): boolean => n >= 3_000 && n < 3_100;
    const runs = Array.from({ length: 100 }, (_, n) => run(values.slice(n * 50, n * 50 + 50), n * 50)).filter((one) => !lost(one.first));
    const { paper, pen } = sweep(runs, 60 * 16);

    // Every sample by its place on the canvas; a place is used again each window.
    const places = new Map<number, number[]>();
    const place = (x: number): number => Math.round((x / SHEET.width) * SHEET.window);
    values.forEach((value, n) => {
      const at = (n * 4) % SHEET.window;
      const y = 100 - ((value ?? 0) + 1) * (100 / 3);
      if (value !== null && !lost(n)) places.set(at, [...(places.get(at) ?? []), y]);
    });
    const drawn = new Set<number>();
    for (const { from, to } of paper.lines) {
      for (const [x, y] of [from, to]) {
        if (x < 0 || x >= SHEET.width) continue;
        const here = places.get(place(x)) ?? [];
        expect(here.some((one) => Math.abs(one - y) < 1e-9), `at ${x}: ${y}, not of ${here}`).toBe(true);
        drawn.add(place(x));
      }
      // Only neighbours are joined: no line is longer than a step.
      expect(Math.abs(to[0] - from[0])).toBeLessThan((4 / SHEET.window) * SHEET.width * 1.7);
    }
    // All samples of the window are there, but for the gap before the pen and the missing ones.
    const shown = values.filter((value, n) => {
      const time = START + n * 4;
      return value !== null && !lost(n) && time <= pen && time > pen - SHEET.window + 320;
    });
    expect(drawn.size).toBeGreaterThanOrEqual(shown.length - 8);
  });

  test("drawn in small pieces it is the same as drawn at once", () => {
    const runs = Array.from({ length: 60 }, (_, n) => run(Array.from({ length: 50 }, (_, at) => wave(n * 50 + at)), n * 50));
    const { paper, trace, pen } = sweep(runs, 60 * 9);
    const whole = new Paper();
    redraw(whole, SHEET, trace, pen);
    const key = (line: { from: number[]; to: number[] }): string => [...line.from, ...line.to].map((n) => n.toFixed(4)).join();
    const [pieces, once] = [new Set(paper.lines.map(key)), new Set(whole.lines.map(key))];
    const lacking = [...once].filter((line) => !pieces.has(line));
    expect(lacking.length).toBeLessThanOrEqual(2);
    expect(once.size).toBeGreaterThan(2_000);
  });

  test("true speed: a second of samples takes a second's way", () => {
    expect(xOf(SHEET, START + 1_000) - xOf(SHEET, START)).toBeCloseTo(SHEET.width / 10);
  });
});

describe("trace", () => {
  test("a run whose clock was read a little late is still its neighbour's neighbour", () => {
    const trace = new Trace(4, 10_000);
    const first = run([1, 1, 1], 0);
    trace.extend(first, 0);
    trace.extend({ ...run([2, 2, 2], 3), start: START + 12 + 90 }, 12);
    expect(trace.count).toBe(6);
    expect(trace.time(3) - trace.time(2)).toBeLessThan(4 * 1.6);
    // A jump in the numbers is a gap, whatever the clock says.
    trace.extend({ ...run([3], 50), start: START + 250 }, 24);
    expect(trace.time(6) - trace.time(5)).toBeGreaterThan(4 * 1.6);
  });

  test("the pen never runs past the newest sample, nor back", () => {
    const trace = new Trace(4, 10_000);
    trace.extend(run(Array(100).fill(1), 0), 0);
    const [early, late] = [trace.pen(50), trace.pen(60_000)];
    expect(late).toBe(START + 99 * 4);
    expect(early).toBeLessThan(late);
    expect(trace.pen(100)).toBe(late);
  });

  test("what it keeps is bounded", () => {
    const trace = new Trace(4, 10_000);
    for (let n = 0; n < 400; n += 1) trace.extend(run(Array(250).fill(n), n * 250), n * 1_000);
    expect(trace.count).toBeLessThanOrEqual((10_000 + 4_000) / 4 + 16);
    expect(trace.value(trace.count - 1)).toBe(399);
  });

  test("late samples are never drawn as now", () => {
    const waves = new Waves();
    const bytes = toBinary(FrameSchema, frame([1, 2], 0));
    const late = create(SamplesSchema, { gateway: "gw", late: true, frame: bytes });
    expect(waves.take(late, 0)).toBe(false);
    expect(waves.inOrder()).toEqual([]);
    expect(waves.take({ ...late, late: false }, 0)).toBe(true);
  });
});

describe("scale", () => {
  test("an electrocardiogram has a customary gain, the greatest that fits", () => {
    expect(ecg([-0.3, 1.2], 25, null).gain).toBe(10);
    expect(ecg([-1, 3], 25, null).gain).toBe(5);
    const scale = ecg([-0.3, 1.2], 25, null);
    expect((scale.high - scale.low) * 10).toBeCloseTo(25);
    expect(ecg([-0.2, 1.1], 25, scale)).toBe(scale);
  });

  test("other scales are round, hold what was seen, and do not jump", () => {
    const scale = round([62, 131], null);
    expect(scale.low).toBeLessThanOrEqual(62);
    expect(scale.high).toBeGreaterThanOrEqual(131);
    expect(round([70, 120], scale)).toBe(scale);
    expect(round([0, 38], null).low).toBe(0);
    expect([atLeast("co2", [34, 36]), atLeast("abp", [60, 130]), atLeast("abp", [70, 90])]).toEqual([[0, 40], [60, 130], [60, 100]]);
    expect([nice(0.03), nice(1), nice(4), nice(70)]).toEqual([0.05, 1, 5, 100]);
  });
});
