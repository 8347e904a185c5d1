// The paper under a waveform: the grid of five millimetres, and the calibration
// mark. Drawn once, on a canvas of its own.
import type { Scale } from "./scale";

export interface Paper {
  readonly width: number;
  readonly height: number;
  /** Pixels of a millimetre. */
  readonly mm: number;
  readonly fine: string;
  readonly strong: string;
  readonly mark: string;
}

/** Millimetres a second, as on the monitors' paper. */
export const SPEED_MM_S = 25;

export function drawPaper(canvas: CanvasRenderingContext2D, paper: Paper, scale: Scale): void {
  const { width, height, mm } = paper;
  canvas.clearRect(0, 0, width, height);
  canvas.lineWidth = 1;
  const box = 5 * mm;
  for (let n = 0; n * box <= width; n += 1) {
    // Every fifth line is a second.
    stroke(canvas, n % 5 === 0 ? paper.strong : paper.fine, n * box, 0, n * box, height);
  }
  for (let y = height % box; y <= height; y += box) stroke(canvas, paper.fine, 0, y, width, y);
  const tall = (scale.mark / (scale.high - scale.low)) * height;
  const bottom = height - Math.max(2, (height - tall) / 2);
  const left = 1.5 * mm;
  canvas.strokeStyle = paper.mark;
  canvas.lineWidth = 1.5;
  canvas.beginPath();
  canvas.moveTo(left - mm, bottom);
  canvas.lineTo(left, bottom);
  canvas.lineTo(left, bottom - tall);
  canvas.lineTo(left + 5 * mm, bottom - tall);
  canvas.lineTo(left + 5 * mm, bottom);
  canvas.lineTo(left + 6 * mm, bottom);
  canvas.stroke();
}

function stroke(canvas: CanvasRenderingContext2D, style: string, x1: number, y1: number, x2: number, y2: number): void {
  canvas.strokeStyle = style;
  canvas.beginPath();
  canvas.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  canvas.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  canvas.stroke();
}
