// How the one stream of this page stands, as a state machine: what happens comes
// in with its time, what is to be done goes out. Knows no network and no clock.
//
// Times are milliseconds of a clock that does not step. A silent server is found
// by the page itself: the stream has a heartbeat each second.

/** A silence this long is a technical alert of the page. */
export const SILENT_AFTER_MS = 3_000;
/** A stream this silent is given up and opened again. */
const GIVE_UP_AFTER_MS = 8_000;
/** An attempt that is not answered is given up. */
const OPEN_WITHIN_MS = 8_000;
/** Waits before the next attempt, by number of failures; then the last one. */
const RETRY_MS = [250, 500, 1_000, 2_000, 3_000] as const;

export interface Filter {
  /** The patient whose samples are wanted too. */
  readonly patient: string | null;
  /** As whom this screen looks, by the contract's number. */
  readonly role: number;
}

export type Effect =
  | { readonly kind: "open"; readonly attempt: number; readonly filter: Filter; readonly token: Uint8Array }
  | { readonly kind: "close"; readonly attempt: number };

type State =
  | { readonly is: "idle" }
  | { readonly is: "opening"; readonly attempt: number; readonly since: number }
  | { readonly is: "open"; readonly attempt: number }
  | { readonly is: "waiting"; readonly until: number };

const NO_TOKEN = new Uint8Array();

export class Connection {
  #state: State = { is: "idle" };
  #filter: Filter = { patient: null, role: 0 };
  #attempts = 0;
  #failures = 0;
  #token: Uint8Array = NO_TOKEN;
  #heardAt: number | null = null;
  #serverMs = 0;
  /** Why the last stream ended; empty while one is open. */
  reason = "";
  /** Streams opened after the first. */
  reopened = 0;

  /** Watches what the page shows now. A changed filter is another stream, whose
   * snapshot holds all that stands; so the token is not taken along. */
  watch(filter: Filter, now: number): Effect[] {
    const same = filter.patient === this.#filter.patient && filter.role === this.#filter.role;
    if (same && this.#state.is !== "idle") return [];
    this.#filter = filter;
    if (!same) this.#token = NO_TOKEN;
    return [...this.#close(), this.#open(now)];
  }

  /** The server said something on the stream of this attempt; false: of an
   * earlier one, to be ignored. */
  heard(attempt: number, serverMs: number, token: Uint8Array, now: number): boolean {
    const state = this.#state;
    if ((state.is !== "opening" && state.is !== "open") || state.attempt !== attempt) return false;
    if (state.is === "opening" && this.#heardAt !== null) this.reopened += 1;
    this.#state = { is: "open", attempt };
    this.#failures = 0;
    this.reason = "";
    this.#token = token;
    this.#heardAt = now;
    this.#serverMs = serverMs;
    return true;
  }

  /** The stream of this attempt ended, or could not be opened. */
  ended(attempt: number, reason: string, now: number): Effect[] {
    const state = this.#state;
    if ((state.is !== "opening" && state.is !== "open") || state.attempt !== attempt) return [];
    this.#wait(reason, now);
    return [];
  }

  /** Time went on. */
  tick(now: number): Effect[] {
    const state = this.#state;
    switch (state.is) {
      case "idle":
        return [];
      case "waiting":
        return now >= state.until ? [this.#open(now)] : [];
      case "opening":
        return now - state.since > OPEN_WITHIN_MS ? this.#giveUp(now) : [];
      case "open":
        return this.silence(now) > GIVE_UP_AFTER_MS ? this.#giveUp(now) : [];
    }
  }

  /** The computer woke up, or the network changed: what is open may be dead. */
  wake(now: number): Effect[] {
    if (this.#state.is === "idle") return [];
    if (this.#state.is === "open" && this.silence(now) < SILENT_AFTER_MS) return [];
    return [...this.#close(), this.#open(now)];
  }

  /** What is open rests on a token that is over soon: the same on another one. */
  renewed(now: number): Effect[] {
    if (this.#state.is === "idle") return [];
    return [...this.#close(), this.#open(now)];
  }

  /** The computer slept while our clock stood: whatever is shown is of before. */
  slept(now: number): Effect[] {
    if (this.#state.is === "idle") return [];
    if (this.#heardAt !== null) this.#heardAt = Math.min(this.#heardAt, now - SILENT_AFTER_MS - 1);
    return [...this.#close(), this.#open(now)];
  }

  /** Milliseconds since the server's last word; endless before the first. */
  silence(now: number): number {
    return this.#heardAt === null ? Number.POSITIVE_INFINITY : Math.max(0, now - this.#heardAt);
  }

  /** Whether anything was ever heard. */
  get begun(): boolean {
    return this.#heardAt !== null;
  }

  /** Whether what is shown may be taken for the present. */
  isLive(now: number): boolean {
    return this.#state.is === "open" && this.silence(now) <= SILENT_AFTER_MS;
  }

  /** The server's clock, carried on by ours. */
  serverNow(now: number): number {
    return this.#heardAt === null ? 0 : this.#serverMs + (now - this.#heardAt);
  }

  #open(now: number): Effect {
    this.#attempts += 1;
    this.#state = { is: "opening", attempt: this.#attempts, since: now };
    return { kind: "open", attempt: this.#attempts, filter: this.#filter, token: this.#token };
  }

  #close(): Effect[] {
    const state = this.#state;
    const running = state.is === "opening" || state.is === "open";
    return running ? [{ kind: "close", attempt: state.attempt }] : [];
  }

  #giveUp(now: number): Effect[] {
    const closing = this.#close();
    this.#wait("the server did not answer", now);
    return closing;
  }

  #wait(reason: string, now: number): void {
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 3_000;
    this.#failures += 1;
    this.reason = reason;
    this.#state = { is: "waiting", until: now + wait };
  }
}
