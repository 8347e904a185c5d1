// The line of a sparkline, gaps as gaps. Pure.
import type { Point } from "./series";

export interface Box {
  readonly width: number;
  readonly height: number;
}

/** Points further apart than this are not joined. */
const GAP_MS = 45_000;

/** The path of the points between two moments; `gapMs`: what is no gap yet. */
export function path(points: readonly Point[], fromMs: number, toMs: number, box: Box, gapMs = GAP_MS): string {
  const inside = points.filter((point) => point.at >= fromMs && point.at <= toMs);
  if (inside.length === 0) return "";
  const [low, high] = range(inside);
  const x = (at: number): string => (((at - fromMs) / (toMs - fromMs)) * box.width).toFixed(1);
  const y = (value: number): string => (box.height - ((value - low) / (high - low)) * box.height).toFixed(1);
  let line = "";
  let before = Number.NEGATIVE_INFINITY;
  for (const point of inside) {
    const [px, py] = [x(point.at), y(point.last)];
    // A lone point is a short dash, or it would not be seen.
    line += point.at - before > gapMs ? `M${px} ${py}h.8` : `L${px} ${py}`;
    before = point.at;
  }
  return line;
}

/** Bottom and top: never so narrow that noise looks like a change. */
function range(points: readonly Point[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const point of points) {
    low = Math.min(low, point.last);
    high = Math.max(high, point.last);
  }
  const least = Math.max(Math.abs(high), 1) * 0.1;
  const spare = Math.max(0, least - (high - low)) / 2;
  return [low - spare, high + spare];
}
