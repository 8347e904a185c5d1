// The newest samples of one channel, and where the pen stands. Bounded: a window
// and a little more. Pure; `now` is the page's steady clock in milliseconds.
import type { Run } from "./runs";

/** A pen this far from where the samples say it should be starts anew. */
const JUMP_MS = 2_000;
/** Clocks read for neighbouring runs differ by less than this. */
const NEIGHBOUR_MS = 400;
/** The pen keeps this far behind, so that a network's jitter does not stop it. */
const JITTER_MS = 120;

export class Trace {
  /** Sample times, gateway's clock; ascending. */
  #times: Float64Array;
  #values: Float64Array;
  #begin = 0;
  #count = 0;
  #newest = Number.NEGATIVE_INFINITY;
  /** The pen's time minus our clock. */
  #lead = 0;
  #arrived = Number.NEGATIVE_INFINITY;
  /** The number of the sample that comes next. */
  #next = -1;
  #step: number;
  #keepMs: number;
  #pen = Number.NEGATIVE_INFINITY;

  /** Keeps the last `keepMs`; `step`: milliseconds from sample to sample. */
  constructor(step: number, keepMs: number) {
    this.#step = step;
    this.#keepMs = keepMs;
    const room = Math.ceil((keepMs + JUMP_MS * 2) / step) + 16;
    this.#times = new Float64Array(room);
    this.#values = new Float64Array(room);
  }

  get step(): number {
    return this.#step;
  }

  /** A window that grew needs more samples. */
  keep(keepMs: number): void {
    if (keepMs <= this.#keepMs) return;
    const other = new Trace(this.#step, keepMs);
    for (let i = 0; i < this.#count; i += 1) other.#push(this.time(i), this.value(i));
    this.#keepMs = keepMs;
    [this.#times, this.#values, this.#begin, this.#count] = [other.#times, other.#values, 0, other.#count];
  }

  /** Takes a run that arrived now. */
  extend(run: Run, now: number): void {
    // Another rate: what is kept would be cut to another length.
    if (Math.abs(run.step - this.#step) > this.#step * 0.01) {
      this.#step = run.step;
      this.#clear();
      const room = Math.ceil((this.#keepMs + JUMP_MS * 2) / run.step) + 16;
      [this.#times, this.#values] = [new Float64Array(room), new Float64Array(room)];
    }
    // The pen stands at the start of a run when it arrives, and has drawn it when
    // the next is due. It follows a later arrival at once, an earlier one slowly.
    const lead = run.start - now - JITTER_MS;
    const ahead = lead - this.#lead;
    const follows = this.#arrived > Number.NEGATIVE_INFINITY && ahead >= 0 && ahead <= JUMP_MS;
    this.#lead = follows ? this.#lead + ahead / 16 : lead;
    if (run.start + JUMP_MS < this.#newest) this.#clear();
    const start = this.#startOf(run);
    run.values.forEach((value, at) => {
      const time = start + at * run.step;
      // Half a step: what was given before is not given again.
      if (time > this.#newest + run.step / 2) {
        this.#push(time, value);
        this.#newest = time;
      }
    });
    this.#next = run.first + run.values.length;
    this.#arrived = now;
  }

  /** A run whose numbers go on where the last one ended is its neighbour, even if
   * the clock that was read for it says otherwise by a little: then the times
   * follow that clock by a part of a step at each run. */
  #startOf(run: Run): number {
    const expected = this.#newest + run.step;
    const off = run.start - expected;
    if (run.first !== this.#next || !(Math.abs(off) < NEIGHBOUR_MS)) return run.start;
    const most = run.step / 4;
    return expected + Math.max(-most, Math.min(most, off));
  }

  /** Where the pen stands now; it never goes back while the samples go on. */
  pen(now: number): number {
    this.#pen = Math.max(this.#pen, Math.min(now + this.#lead, this.#newest));
    return this.#pen;
  }

  /** Milliseconds since samples came last. */
  silence(now: number): number {
    return now - this.#arrived;
  }

  get count(): number {
    return this.#count;
  }

  time(at: number): number {
    return this.#times[(this.#begin + at) % this.#times.length] ?? Number.NaN;
  }

  value(at: number): number {
    return this.#values[(this.#begin + at) % this.#values.length] ?? Number.NaN;
  }

  /** The index of the first sample later than this. */
  after(time: number): number {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time(middle) > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Least and greatest value from this moment on; null: there is none. */
  range(from: number): readonly [number, number] | null {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let at = this.after(from); at < this.#count; at += 1) {
      const value = this.value(at);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : null;
  }

  #push(time: number, value: number): void {
    if (this.#count === this.#times.length) {
      this.#begin = (this.#begin + 1) % this.#times.length;
      this.#count -= 1;
    }
    const at = (this.#begin + this.#count) % this.#times.length;
    this.#times[at] = time;
    this.#values[at] = value;
    this.#count += 1;
  }

  #clear(): void {
    [this.#begin, this.#count] = [0, 0];
    this.#next = -1;
    [this.#newest, this.#pen] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  }
}
