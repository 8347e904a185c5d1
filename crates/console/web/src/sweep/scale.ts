// Bottom and top of a waveform's drawing, and its calibration mark. Pure.

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** Height of the calibration mark, in the channel's unit. */
  readonly mark: number;
  /** Millimetres per unit, where the paper's gain is a custom (ECG); else null. */
  readonly gain: number | null;
}

/** Customary gains of an electrocardiogram, millimetres per millivolt. */
const GAINS = [10, 5, 2.5, 1.25] as const;

/** The scale of an electrocardiogram on a row of so many millimetres: 10 mm/mV,
 * or the next smaller customary gain at which what was seen fits. */
export function ecg(seen: readonly [number, number], heightMm: number, before: Scale | null): Scale {
  const fits = (gain: number): boolean => (seen[1] - seen[0]) * gain <= heightMm * 0.96;
  const gain = GAINS.find(fits) ?? 1.25;
  const span = heightMm / gain;
  if (before?.gain === gain && Math.abs(before.high - before.low - span) < 1e-9 && holds(before, seen)) return before;
  // The middle of what is seen, to the half millivolt it does not jump at.
  const middle = (seen[0] + seen[1]) / 2;
  return { low: middle - span / 2, high: middle + span / 2, mark: 1, gain };
}

/** What a channel's scale shows at least, so that the flat part of a breath does
 * not fill the paper. */
export function atLeast(id: string, seen: readonly [number, number]): readonly [number, number] {
  if (id === "co2") return [Math.min(0, seen[0]), Math.max(40, seen[1])];
  const least = id === "abp" || id === "pap" ? 40 : id === "pleth" ? 0.4 : id === "resp" ? 0.8 : 0;
  const spare = Math.max(0, least - (seen[1] - seen[0])) / 2;
  return [seen[0] - spare, seen[1] + spare];
}

/** A scale of round numbers around what was seen: grows at once, and shrinks
 * only when the signal fills less than a third of it. */
export function round(seen: readonly [number, number], before: Scale | null): Scale {
  const span = Math.max(seen[1] - seen[0], Math.abs(seen[1]) * 0.02, 1e-6);
  if (before && holds(before, seen) && span > (before.high - before.low) / 3) return before;
  const step = nice(span / 4);
  const under = Math.floor((seen[0] - span * 0.04) / step) * step;
  // Nothing below zero where nothing can be.
  const low = seen[0] >= 0 ? Math.max(0, under) : under;
  const high = Math.ceil((seen[1] + span * 0.04) / step) * step;
  return { low, high, mark: nice((high - low) / 3), gain: null };
}

function holds(scale: Scale, seen: readonly [number, number]): boolean {
  return seen[0] >= scale.low && seen[1] <= scale.high;
}

/** The next of 1, 2, 5 times a power of ten. */
export function nice(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const part = value / power;
  return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}
