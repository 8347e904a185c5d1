// The course of a patient since departure: every quantity of the strips, in
// bounded memory. Fed from the history and from the stream; twice the same is
// once. Pure.
import { isContinuous, VITALS } from "../catalogue/catalogue";
import type { Numeric } from "./numerics";
import { Series, type Point } from "./series";

const SLOT_MS = 5_000;
/** Five hours and a half at full resolution; then the slots widen. */
const SLOTS = 4_096;

/** The strips under each other, and the quantities on each. */
export const STRIPS: readonly (readonly string[])[] = [
  ["hr"],
  ["spo2"],
  ["abp_sys", "abp_dia", "nibp_sys", "nibp_dia"],
  ["rr_co2", "etco2"],
  ["temp1"],
];

const IDS = new Set([...STRIPS.flat(), "rr_imp", "temp2"]);
const CODES = new Map(VITALS.map((vital) => [vital.id, vital.code]));

export class Course {
  readonly #series = new Map<string, Series>();

  take(numeric: Numeric): void {
    if (!IDS.has(numeric.id)) return;
    let series = this.#series.get(numeric.id);
    if (!series) this.#series.set(numeric.id, (series = new Series(SLOT_MS, SLOTS, "all")));
    series.add(numeric.at, numeric.number, numeric.late);
  }

  points(id: string, fromMs?: number): Point[] {
    return this.#series.get(id)?.points(fromMs) ?? [];
  }

  /** Further apart than this there is a gap between two points. */
  gap(id: string): number {
    const width = this.#series.get(id)?.width ?? SLOT_MS;
    const interval = isContinuous(CODES.get(id) ?? 0) ? 20_000 : 15 * 60_000;
    return Math.max(interval, width * 2.5);
  }

  get empty(): boolean {
    return this.#series.size === 0;
  }

  /** The moments between which anything is known. */
  extent(): readonly [number, number] | null {
    let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const series of this.#series.values()) {
      const points = series.points();
      from = Math.min(from, points[0]?.at ?? from);
      to = Math.max(to, points.at(-1)?.at ?? to);
    }
    return from <= to ? [from, to] : null;
  }
}

export type Column = (number | null)[];

/** Lines over one time axis, seconds: a gap is a null between its neighbours. */
export function columns(lines: readonly { readonly points: readonly Point[]; readonly gap: number }[]): {
  readonly times: number[];
  readonly values: Column[];
} {
  const moments = new Set<number>();
  const breaks = lines.map((line) => {
    const between: number[] = [];
    line.points.forEach((point, at) => {
      moments.add(point.at);
      const before = line.points[at - 1];
      if (before && point.at - before.at > line.gap) between.push((point.at + before.at) / 2);
    });
    for (const moment of between) moments.add(moment);
    return new Set(between);
  });
  const times = [...moments].sort((a, b) => a - b);
  const values = lines.map((line, at) => {
    const known = new Map(line.points.map((point) => [point.at, point.last]));
    // `undefined` is joined over, null is a gap.
    return times.map((time) => (breaks[at]?.has(time) ? null : known.get(time))) as Column;
  });
  return { times: times.map((time) => time / 1000), values };
}

/** Stretches of time that were filled in late, from `fromMs` on. */
export function lateStretches(points: readonly Point[], width: number): (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (const point of points) {
    if (!point.late) continue;
    const last = found.at(-1);
    const [from, to] = [point.at - width / 2, point.at + width / 2];
    if (last && from - last[1] <= width * 2) last[1] = to;
    else found.push([from, to]);
  }
  return found;
}
