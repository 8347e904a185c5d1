// What the reader has chosen; kept in this browser, nowhere else.
import type { Units } from "../units/units";
import type { Zone } from "../units/times";
import { browserLanguage, languages, type Language } from "../words/languages";

export type Theme = "auto" | "day" | "night";
export type Size = "auto" | "normal" | "wall";

interface Stored {
  language: Language;
  theme: Theme;
  size: Size;
  zone: Zone;
  pressure: Units["pressure"];
  temperature: Units["temperature"];
  pinned: string[];
}

const KEY = "enroute-console";
/** More pins than cards on a screen help nobody. */
const PINS_MAX = 24;

/** Only what is still a choice: the page may be newer than what was stored. */
function read(): Stored {
  let kept: Partial<Record<keyof Stored, unknown>> = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    // Unreadable or forbidden: the defaults serve.
  }
  const one = <T extends string>(value: unknown, choices: readonly T[], otherwise: T): T =>
    choices.find((choice) => choice === value) ?? otherwise;
  const pinned = Array.isArray(kept.pinned) ? kept.pinned.filter((id) => typeof id === "string") : [];
  return {
    language: one(kept.language, languages, browserLanguage()),
    theme: one(kept.theme, ["auto", "day", "night"], "auto"),
    size: one(kept.size, ["auto", "normal", "wall"], "auto"),
    zone: one(kept.zone, ["here", "utc"], "here"),
    pressure: one(kept.pressure, ["mmHg", "kPa"], "mmHg"),
    temperature: one(kept.temperature, ["C", "F"], "C"),
    pinned: pinned.slice(0, PINS_MAX),
  };
}

class Settings {
  #kept = $state(read());

  get language(): Language {
    return this.#kept.language;
  }
  get theme(): Theme {
    return this.#kept.theme;
  }
  get size(): Size {
    return this.#kept.size;
  }
  get zone(): Zone {
    return this.#kept.zone;
  }
  get units(): Units {
    return { pressure: this.#kept.pressure, temperature: this.#kept.temperature };
  }
  get pinned(): readonly string[] {
    return this.#kept.pinned;
  }

  choose<K extends Exclude<keyof Stored, "pinned">>(what: K, value: Stored[K]): void {
    this.#kept[what] = value;
    this.#keep();
  }

  togglePin(transfer: string): void {
    const pinned = this.#kept.pinned.filter((id) => id !== transfer);
    if (pinned.length === this.#kept.pinned.length) pinned.push(transfer);
    this.#kept.pinned = pinned.slice(-PINS_MAX);
    this.#keep();
  }

  #keep(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // Private windows may forbid it: the choice holds until the page closes.
    }
  }
}

export const settings = new Settings();
