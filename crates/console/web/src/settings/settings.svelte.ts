// What the reader has chosen; kept in this browser, nowhere else.
import type { Units } from "../units/units";
import type { Zone } from "../units/times";
import { NAME_CHARS_MAX, roleOf, roles, type Role } from "../who/name";
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
  /** Who acts here, by their own word; empty: nobody has said. */
  name: string;
  role: Role;
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
    name: typeof kept.name === "string" ? kept.name.slice(0, NAME_CHARS_MAX) : "",
    role: one(kept.role, roles, "viewer"),
  };
}

class Settings {
  #kept = $state(read());
  /** A screen on a wall has its role in its address. */
  readonly #asked = typeof location === "undefined" ? null : roleOf(location.search);

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
  get name(): string {
    return this.#kept.name;
  }
  get role(): Role {
    return this.#asked ?? this.#kept.role;
  }
  /** The address decides the role. */
  get roleIsGiven(): boolean {
    return this.#asked !== null;
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
