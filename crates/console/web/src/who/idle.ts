// When nobody has touched this screen for too long. Pure.

/** How long before its end it warns. */
export const WARNS_MS = 60_000;

/** Two clocks: one may stand still while the computer sleeps, the other may be set. */
export interface Clocks {
  readonly steady: number;
  readonly wall: number;
}

export class Idle {
  #touched: Clocks;
  readonly #limitMs: number;

  constructor(limitMs: number, now: Clocks) {
    this.#limitMs = limitMs;
    this.#touched = now;
  }

  touch(now: Clocks): void {
    this.#touched = now;
  }

  /** Milliseconds that are left; by the clock that ran further. */
  left(now: Clocks): number {
    const gone = Math.max(now.steady - this.#touched.steady, now.wall - this.#touched.wall);
    return Math.max(0, this.#limitMs - gone);
  }
}

/** Whether it is time to say so: not all the time of a short limit. */
export function warns(left: number, limitMs: number): boolean {
  return left <= Math.min(WARNS_MS, limitMs / 2);
}
