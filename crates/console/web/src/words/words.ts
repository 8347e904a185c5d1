// A text of the page by its key, in the language given. Pure.
import { en, type Catalogue, type Key } from "./en";
import { zh } from "./zh";
import type { Language } from "./languages";

export type { Key } from "./en";

export const catalogues: Readonly<Record<Language, Catalogue>> = { en, zh };

const rules = new Map<Language, Intl.PluralRules>();

export type Parts = Readonly<Record<string, string | number>>;

/** The text of a key; `{name}` stands for a part, `n` chooses the plural form. */
export function text(language: Language, key: Key, parts: Parts = {}): string {
  const entry = catalogues[language][key];
  let chosen: string;
  if (typeof entry === "string") {
    chosen = entry;
  } else {
    let rule = rules.get(language);
    if (!rule) rules.set(language, (rule = new Intl.PluralRules(language)));
    chosen = entry[rule.select(Number(parts["n"] ?? 0))] ?? entry.other;
  }
  return chosen.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const part = parts[name];
    return part === undefined ? whole : String(part);
  });
}

/** Whether there is a text of this key: for words that come from the network. */
export function isKey(key: string): key is Key {
  return Object.hasOwn(en, key);
}
