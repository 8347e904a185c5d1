// Which cards are drawn in the next frame: those in sight, a few at a time, what
// changed before what only grew older. A card out of sight waits until it is seen.
// Pure.

export class Pace {
  readonly #changed = new Set<string>();
  readonly #aged = new Set<string>();
  readonly #inSight = new Set<string>();

  /** Something on this card is another. */
  change(id: string): void {
    this.#changed.add(id);
  }

  /** Time went on: what is in sight shows how old it is. */
  age(): void {
    for (const id of this.#inSight) this.#aged.add(id);
  }

  /** Whether anybody could see this card. One that comes into sight is as old as
   * when it left. */
  sight(id: string, inSight: boolean): void {
    if (!inSight) this.#inSight.delete(id);
    else if (!this.#inSight.has(id)) {
      this.#inSight.add(id);
      this.#changed.add(id);
    }
  }

  forget(id: string): void {
    for (const set of [this.#changed, this.#aged, this.#inSight]) set.delete(id);
  }

  /** The next ones to draw, at most so many. */
  take(most: number): string[] {
    const taken: string[] = [];
    for (const due of [this.#changed, this.#aged]) {
      for (const id of due) {
        if (taken.length === most) return taken;
        if (!this.#inSight.has(id)) continue;
        this.#changed.delete(id);
        this.#aged.delete(id);
        taken.push(id);
      }
    }
    return taken;
  }

  /** Whether anything in sight is to be drawn. */
  get due(): boolean {
    if (this.#inSight.size === 0) return false;
    for (const set of [this.#changed, this.#aged]) for (const id of set) if (this.#inSight.has(id)) return true;
    return false;
  }
}
