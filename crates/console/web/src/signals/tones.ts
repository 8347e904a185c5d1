// The bursts of IEC 60601-1-8 as it is publicly described: ten pulses for high
// priority, three for medium, two for low; and one of our own for a server that
// is not heard. Pure.

export type Burst = "high" | "medium" | "low" | "server";

export interface Pulse {
  /** Seconds from the burst's start. */
  readonly at: number;
  readonly seconds: number;
  /** Fundamental, within 150 to 1,000 Hz. */
  readonly hertz: number;
}

/** Loudness of the harmonics, the fundamental first: at least four lie between
 * 300 and 4,000 Hz, near to each other in level. */
export const HARMONICS = [1, 0.8, 0.7, 0.6, 0.5, 0.35] as const;

/** Seconds from one burst's start to the next while the condition stands. High
 * may be 2.5 to 15 s apart, medium 2.5 to 30 s; low is not repeated. */
export const REPEAT: Readonly<Record<Burst, number>> = {
  high: 10,
  medium: 20,
  low: Number.POSITIVE_INFINITY,
  server: 6,
};

/** Gaps behind each pulse, in seconds; the last is none. */
function pulses(seconds: number, gaps: readonly number[], hertz: (n: number) => number): Pulse[] {
  const found: Pulse[] = [];
  let at = 0;
  for (let n = 0; n <= gaps.length; n += 1) {
    found.push({ at, seconds, hertz: hertz(n) });
    at += seconds + (gaps[n] ?? 0);
  }
  return found;
}

export function burst(kind: Burst): Pulse[] {
  switch (kind) {
    case "high": {
      // Three and two, a breath, three and two.
      const [pulse, gap] = [0.14, 0.1];
      const group = [gap, gap, 2 * pulse + gap, gap];
      return pulses(pulse, [...group, 0.6, ...group], (n) => [523, 659, 784, 659, 523][n % 5] ?? 523);
    }
    case "medium":
      return pulses(0.2, [0.18, 0.18], (n) => [523, 659, 523][n] ?? 523);
    case "low":
      return pulses(0.2, [0.2], (n) => [523, 440][n] ?? 440);
    case "server":
      return pulses(0.32, [0.08, 0.4, 0.08], (n) => (n % 2 === 0 ? 415 : 277));
  }
}
