// Samples onto a canvas, as a bedside monitor draws them: a pen sweeps along at
// true speed, ahead of it a gap, behind it the past seconds. Each sample is a
// point of the line at its own time and value; only neighbours are joined, and
// what is missing stays missing. Knows only the few calls of a canvas it uses.
import type { Trace } from "./trace";

/** Cleared ahead of the pen. */
const GAP_MS = 300;
/** Samples further apart than so many steps are not neighbours. */
const NEIGHBOURS = 1.6;

export interface Pencil {
  clearRect(x: number, y: number, width: number, height: number): void;
  beginPath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  stroke(): void;
}

export interface Sheet {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** Milliseconds from edge to edge. */
  readonly window: number;
  /** The values at the bottom and the top. */
  readonly low: number;
  readonly high: number;
}

/** Where a moment lies, from 0 to the width. */
export function xOf(sheet: Sheet, time: number): number {
  const into = ((time % sheet.window) + sheet.window) % sheet.window;
  return (into / sheet.window) * sheet.width;
}

export function yOf(sheet: Sheet, value: number): number {
  return sheet.height * (1 - (value - sheet.low) / (sheet.high - sheet.low));
}

/** Draws what lies between two stands of the pen, and clears ahead of it. */
export function advance(pencil: Pencil, sheet: Sheet, trace: Trace, from: number, pen: number): void {
  if (pen <= from) return;
  const start = Math.max(from, pen - sheet.window + GAP_MS);
  clear(pencil, sheet, start, pen + GAP_MS);
  line(pencil, sheet, trace, start, pen);
}

/** Draws the whole window anew, such as after a resize. */
export function redraw(pencil: Pencil, sheet: Sheet, trace: Trace, pen: number): void {
  pencil.clearRect(0, 0, sheet.width, sheet.height);
  line(pencil, sheet, trace, pen - sheet.window + GAP_MS, pen);
}

function clear(pencil: Pencil, sheet: Sheet, from: number, to: number): void {
  const [left, right] = [xOf(sheet, from), xOf(sheet, to)];
  if (right >= left) {
    pencil.clearRect(left, 0, right - left, sheet.height);
  } else {
    pencil.clearRect(left, 0, sheet.width - left, sheet.height);
    pencil.clearRect(0, 0, right, sheet.height);
  }
}

function line(pencil: Pencil, sheet: Sheet, trace: Trace, from: number, pen: number): void {
  // One before, so that the new piece is joined to what is drawn.
  const first = Math.max(0, trace.after(from) - 1);
  let drawn: { readonly time: number; readonly x: number; readonly y: number } | null = null;
  pencil.beginPath();
  for (let at = first; at < trace.count; at += 1) {
    const [time, value] = [trace.time(at), trace.value(at)];
    if (time > pen) break;
    if (Number.isNaN(value)) {
      drawn = null;
      continue;
    }
    const [x, y] = [xOf(sheet, time), yOf(sheet, value)];
    const joined = drawn !== null && time - drawn.time <= trace.step * NEIGHBOURS;
    if (!joined || drawn === null) {
      pencil.moveTo(x, y);
    } else if (x >= drawn.x) {
      pencil.lineTo(x, y);
    } else {
      // Over the edge: out at one side, in at the other.
      pencil.lineTo(x + sheet.width, y);
      pencil.moveTo(drawn.x - sheet.width, drawn.y);
      pencil.lineTo(x, y);
    }
    drawn = { time, x, y };
  }
  pencil.stroke();
}
