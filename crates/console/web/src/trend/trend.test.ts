import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Priority } from "../../gen/proto/enroute/v1/frame_pb";
import { AlertSchema } from "../../gen/proto/enroute/v1/live_pb";
import { columns, lateStretches } from "./course";
import { marksOf } from "./marks";
import { Series, type Point } from "./series";
import { path } from "./spark";

const T = 1_700_000_000_000;

test("every alert has one mark, and what was found late is told apart", () => {
  const alert = (alertId: bigint, sinceUs: bigint, priority: Priority, retrospective = false) => create(AlertSchema, { alertId, sinceUs, priority, retrospective });
  const marks = marksOf([
    alert(1n, 9_000_000n, Priority.HIGH),
    alert(2n, 1_000_000n, Priority.MEDIUM, true),
    alert(1n, 9_000_000n, Priority.HIGH),
    alert(1n, 5_000_000n, Priority.LOW),
  ]);
  expect(marks).toEqual([
    { atMs: 1_000, level: "medium", late: true },
    { atMs: 5_000, level: "low", late: false },
    { atMs: 9_000, level: "high", late: false },
  ]);
});

describe("series", () => {
  test("keeps least, greatest and last of each slot, in whatever order they come", () => {
    const series = new Series(10_000, 100, "all");
    for (const [at, value] of [[3, 5], [1, 9], [9, 7], [12, 4]] as const) series.add(T + at * 1_000, value, false);
    expect(series.points().map(({ low, high, last }) => [low, high, last])).toEqual([[5, 9, 7], [4, 4, 4]]);
    series.add(T - 25_000, 1, true);
    expect(series.points()[0]).toMatchObject({ last: 1, late: true });
    expect(series.points()).toHaveLength(3);
  });

  test("a slot that holds anything live is no filled gap", () => {
    const series = new Series(10_000, 100, "all");
    series.add(T, 5, true);
    series.add(T + 1, 6, false);
    expect(series.points()[0]?.late).toBe(false);
  });

  test("is bounded: it widens its slots, or forgets the oldest", () => {
    const [all, newest] = [new Series(1_000, 64, "all"), new Series(1_000, 64, "newest")];
    for (let n = 0; n < 1_000; n += 1) {
      all.add(T + n * 1_000, n, false);
      newest.add(T + n * 1_000, n, false);
    }
    expect(all.points().length).toBeLessThanOrEqual(64);
    expect(all.width).toBe(16_000);
    expect([all.points()[0]?.low, all.points().at(-1)?.high]).toEqual([0, 999]);
    expect(newest.points()).toHaveLength(64);
    expect(newest.points()[0]?.last).toBe(936);
  });

  test("what is no number is not taken", () => {
    const series = new Series(1_000, 8, "all");
    series.add(Number.NaN, 1, false);
    series.add(T, Number.POSITIVE_INFINITY, false);
    expect(series.points()).toEqual([]);
  });
});

const point = (second: number, last: number, late = false): Point => ({ at: T + second * 1_000, low: last, high: last, last, late });

describe("lines", () => {
  test("a gap is a gap: in the sparkline and in the course", () => {
    const points = [point(0, 1), point(10, 2), point(200, 3)];
    const line = path(points, T, T + 200_000, { width: 100, height: 20 });
    expect(line.match(/M/g)).toHaveLength(2);
    const { times, values } = columns([{ points, gap: 20_000 }]);
    expect(values[0]).toEqual([1, 2, null, 3]);
    expect(times).toHaveLength(4);
  });

  test("a line that has no point where another has one is joined over it", () => {
    const { values } = columns([
      { points: [point(0, 1), point(10, 2)], gap: 20_000 },
      { points: [point(5, 7)], gap: 20_000 },
    ]);
    expect(values[0]).toEqual([1, undefined, 2]);
  });

  test("what was filled in late is marked in one stretch", () => {
    const points = [point(0, 1), point(5, 1, true), point(10, 1, true), point(60, 1, true)];
    expect(lateStretches(points, 5_000).map(([from, to]) => [(from - T) / 1_000, (to - T) / 1_000])).toEqual([[2.5, 12.5], [57.5, 62.5]]);
  });
});
