// Where a recording stands between two words of the server: carried on by the
// page's clock at the speed of the playback. Pure.

/** Words that differ from what was expected by less are the network's jitter. */
const JITTER_MS = 1_000;

export class Playhead {
  #at = 0;
  #since = 0;
  #speed = 0;

  /** The server says where it stands; `speed` 0: it does not move by itself. */
  hear(at: number, speed: number, jumped: boolean, now: number): void {
    const off = Math.abs(at - this.at(now));
    const same = speed === this.#speed && speed > 0 && off < JITTER_MS * Math.max(1, speed);
    if (same && !jumped) return;
    [this.#at, this.#since, this.#speed] = [at, now, speed];
  }

  /** Milliseconds of the recording, at this moment of the page's clock. */
  at(now: number): number {
    return this.#at + (now - this.#since) * this.#speed;
  }
}
