// The course of one quantity in bounded memory: slots of equal width, each with
// the least, greatest and last value in it. When the slots do not reach, their
// width doubles. Pure.

export interface Point {
  /** The middle of the slot, milliseconds. */
  readonly at: number;
  readonly low: number;
  readonly high: number;
  readonly last: number;
  /** Filled in behind, after an outage. */
  readonly late: boolean;
}

const EMPTY = Number.NaN;

export class Series {
  #width: number;
  #first = 0;
  #low: Float32Array<ArrayBuffer>;
  #high: Float32Array<ArrayBuffer>;
  #last: Float32Array<ArrayBuffer>;
  #lastAt: Float64Array<ArrayBuffer>;
  #late: Uint8Array<ArrayBuffer>;
  #used = 0;
  readonly #slots: number;
  readonly #keep: "all" | "newest";

  /** `keep`: whether old slots are merged to make room, or dropped. */
  constructor(widthMs: number, slots: number, keep: "all" | "newest") {
    this.#width = widthMs;
    this.#slots = slots;
    this.#keep = keep;
    this.#low = new Float32Array(slots).fill(EMPTY);
    this.#high = new Float32Array(slots).fill(EMPTY);
    this.#last = new Float32Array(slots).fill(EMPTY);
    this.#lastAt = new Float64Array(slots);
    this.#late = new Uint8Array(slots);
  }

  get width(): number {
    return this.#width;
  }

  /** Takes a value of this moment; in any order. */
  add(at: number, value: number, late: boolean): void {
    if (!Number.isFinite(at) || !Number.isFinite(value)) return;
    let slot = this.#place(at);
    if (slot === null) return;
    if (Number.isNaN(this.#last[slot] ?? EMPTY)) {
      this.#low[slot] = value;
      this.#high[slot] = value;
      this.#late[slot] = late ? 1 : 0;
      this.#lastAt[slot] = at;
      this.#last[slot] = value;
      return;
    }
    this.#low[slot] = Math.min(this.#low[slot] ?? value, value);
    this.#high[slot] = Math.max(this.#high[slot] ?? value, value);
    // A slot that holds anything live is no filled gap.
    if (!late) this.#late[slot] = 0;
    if (at >= (this.#lastAt[slot] ?? 0)) {
      this.#lastAt[slot] = at;
      this.#last[slot] = value;
    }
  }

  /** The slots that hold something, oldest first. */
  points(fromMs = Number.NEGATIVE_INFINITY): Point[] {
    const found: Point[] = [];
    for (let slot = 0; slot < this.#used; slot += 1) {
      const last = this.#last[slot] ?? EMPTY;
      const at = (this.#first + slot + 0.5) * this.#width;
      if (Number.isNaN(last) || at < fromMs) continue;
      const [low, high] = [this.#low[slot] ?? last, this.#high[slot] ?? last];
      found.push({ at, low, high, last, late: this.#late[slot] === 1 });
    }
    return found;
  }

  #place(at: number): number | null {
    let slot = Math.floor(at / this.#width);
    if (this.#used === 0) this.#first = slot;
    if (slot < this.#first) {
      if (this.#keep === "newest" && this.#first + this.#used - slot > this.#slots) return null;
      while (this.#first + this.#used - slot > this.#slots) {
        this.#halve();
        slot = Math.floor(at / this.#width);
      }
      if (slot < this.#first) this.#shift(slot - this.#first);
    }
    while (slot - this.#first >= this.#slots) {
      if (this.#keep === "newest") {
        this.#shift(slot - this.#first - this.#slots + 1);
      } else {
        this.#halve();
        slot = Math.floor(at / this.#width);
      }
    }
    this.#used = Math.max(this.#used, slot - this.#first + 1);
    return slot - this.#first;
  }

  /** Moves the first slot by so many; what falls out is gone. */
  #shift(by: number): void {
    const kept = by > 0 ? Math.max(0, this.#used - by) : this.#used;
    for (const column of [this.#low, this.#high, this.#last, this.#lastAt, this.#late]) {
      if (by > 0) {
        column.copyWithin(0, Math.min(by, this.#slots), this.#used);
        column.fill(column instanceof Float32Array ? EMPTY : 0, kept);
      } else {
        column.copyWithin(-by, 0, kept);
        column.fill(column instanceof Float32Array ? EMPTY : 0, 0, -by);
      }
    }
    this.#first += by;
    this.#used = by > 0 ? kept : kept - by;
  }

  /** Doubles the width. */
  #halve(): void {
    const points = this.points();
    this.#width *= 2;
    for (const column of [this.#low, this.#high, this.#last]) column.fill(EMPTY);
    this.#late.fill(0);
    this.#lastAt.fill(0);
    this.#used = 0;
    for (const point of points) {
      this.add(point.at, point.low, point.late);
      this.add(point.at, point.high, point.late);
      this.add(point.at, point.last, point.late);
    }
  }
}
