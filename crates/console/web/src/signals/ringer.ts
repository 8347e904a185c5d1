// When to sound what: a state machine. The most urgent condition sounds at once
// when it comes, and again while it stands. Times are seconds of a steady clock.
import { REPEAT, type Burst } from "./tones";

/** What stands now. */
export interface Conditions {
  /** The server is not heard: what the rest says is old. */
  readonly serverSilent: boolean;
  /** The highest priority of an alert that stands. */
  readonly highest: "high" | "medium" | "low" | "none";
  /** Counts the alerts of each priority that were raised since the page began. */
  readonly raised: Readonly<Record<"high" | "medium" | "low", number>>;
}

const ORDER: readonly Burst[] = ["server", "high", "medium", "low"];
/** No burst cuts into another. */
const BURST_MAX_S = 3;

export class Ringer {
  #last: { readonly burst: Burst; readonly at: number } | null = null;
  #raised = { high: 0, medium: 0, low: 0 };

  /** What to sound now, if anything. */
  next(conditions: Conditions, now: number): Burst | null {
    const burst = this.#due(conditions, now);
    if (burst) this.#last = { burst, at: now };
    return burst;
  }

  #due(conditions: Conditions, now: number): Burst | null {
    const fresh = this.#fresh(conditions);
    const standing: Burst | null = conditions.serverSilent
      ? "server"
      : conditions.highest === "none"
        ? null
        : conditions.highest;
    const wanted = ORDER.find((one) => one === standing || (one === fresh && !conditions.serverSilent)) ?? null;
    if (!wanted) return null;
    const since = this.#last === null ? Number.POSITIVE_INFINITY : now - this.#last.at;
    const more = this.#last === null || ORDER.indexOf(wanted) < ORDER.indexOf(this.#last.burst);
    const news = fresh === wanted || more;
    // News waits for the end of what sounds, and is not forgotten meanwhile.
    if (since < BURST_MAX_S) return null;
    this.#raised = { ...conditions.raised };
    return news || since >= REPEAT[wanted] ? wanted : null;
  }

  /** The most urgent priority of which something was raised and not yet rung. */
  #fresh(conditions: Conditions): "high" | "medium" | "low" | null {
    for (const level of ["high", "medium", "low"] as const) {
      if (conditions.raised[level] > this.#raised[level]) return level;
    }
    return null;
  }
}
