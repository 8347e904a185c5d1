// A strip of the course on uPlot: lines, late stretches shaded, alerts as marks.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Mark {
  readonly atMs: number;
  readonly colour: string;
  /** Found late: only outlined. */
  readonly late: boolean;
}

export interface StripStyle {
  readonly colours: readonly string[];
  readonly dashed: readonly boolean[];
  readonly text: string;
  readonly grid: string;
  readonly late: string;
  readonly head: string;
  readonly font: string;
  readonly time: (ms: number) => string;
  readonly number: (value: number) => string;
  readonly axis: boolean;
}

export interface Strip {
  set(data: uPlot.AlignedData, range: readonly [number, number], late: readonly (readonly [number, number])[], marks: readonly Mark[]): void;
  /** Where the playhead stands; null: nowhere. */
  head(atMs: number | null): void;
  size(width: number, height: number): void;
  destroy(): void;
}

/** All strips show one cursor. */
const CURSORS = "course";

export function strip(into: HTMLElement, width: number, height: number, style: StripStyle, pointed: (ms: number | null) => void, chosen: (ms: number) => void): Strip {
  let headAt: number | null = null;
  let late: readonly (readonly [number, number])[] = [];
  let marks: readonly Mark[] = [];
  const shade = (plot: uPlot): void => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = style.late;
    for (const [from, to] of late) {
      const [a, b] = [plot.valToPos(from / 1000, "x", true), plot.valToPos(to / 1000, "x", true)];
      ctx.fillRect(a, bbox.top, Math.max(1, b - a), bbox.height);
    }
    for (const mark of marks) {
      const x = Math.round(plot.valToPos(mark.atMs / 1000, "x", true));
      ctx.fillStyle = ctx.strokeStyle = mark.colour;
      if (!mark.late) ctx.fillRect(x - 1, bbox.top, 2, bbox.height);
      ctx.beginPath();
      ctx.moveTo(x - 6, bbox.top);
      ctx.lineTo(x + 6, bbox.top);
      ctx.lineTo(x, bbox.top + 9);
      ctx.closePath();
      if (mark.late) ctx.stroke();
      else ctx.fill();
    }
    ctx.restore();
  };
  const playhead = (plot: uPlot): void => {
    if (headAt === null) return;
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(headAt / 1000, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.save();
    ctx.fillStyle = style.head;
    ctx.fillRect(x - 1, bbox.top, 3, bbox.height);
    ctx.restore();
  };
  const axis = { stroke: style.text, font: style.font, grid: { stroke: style.grid, width: 1 }, ticks: { show: false } };
  const plot = new uPlot(
    {
      width,
      height,
      padding: [6, 8, style.axis ? 0 : 4, 0],
      legend: { show: false },
      cursor: { y: false, sync: { key: CURSORS }, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => room(low, high) } },
      series: [
        {},
        ...style.colours.map((stroke, at) => ({
          stroke,
          width: 1.6,
          spanGaps: false,
          points: { show: false },
          ...(style.dashed[at] ? { dash: [4, 3] } : {}),
        })),
      ],
      axes: [
        { ...axis, show: style.axis, size: 22, values: (_, ticks) => ticks.map((tick) => style.time(tick * 1000)) },
        { ...axis, size: 40, space: 22, values: (_, ticks) => ticks.map(style.number) },
      ],
      hooks: {
        drawClear: [shade],
        draw: [playhead],
        ready: [
          (self) => {
            self.over.addEventListener("pointerup", (event) => {
              const left = event.clientX - self.over.getBoundingClientRect().left;
              chosen(self.posToVal(left, "x") * 1000);
            });
          },
        ],
        setCursor: [
          (self) => {
            const left = self.cursor.left ?? -1;
            pointed(left < 0 ? null : self.posToVal(left, "x") * 1000);
          },
        ],
      },
    },
    [[], ...style.colours.map(() => [])] as unknown as uPlot.AlignedData,
    into,
  );
  return {
    set(data, range, lateNow, marksNow) {
      [late, marks] = [lateNow, marksNow];
      plot.batch(() => {
        plot.setData(data, false);
        plot.setScale("x", { min: range[0] / 1000, max: range[1] / 1000 });
      });
    },
    head(atMs) {
      headAt = atMs;
      plot.redraw(false);
    },
    size(w, h) {
      plot.setSize({ width: w, height: h });
    },
    destroy() {
      plot.destroy();
    },
  };
}

/** Some room above and below, and never so little that noise looks like news. */
function room(low: number, high: number): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const spare = Math.max((high - low) * 0.12, Math.abs(high) * 0.03, 0.5);
  return [low - spare, high + spare];
}
