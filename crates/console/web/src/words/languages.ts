// Languages and how they are written. A new one is a catalogue beside en.ts, its
// name here, and its direction.

export const languages = ["en", "zh"] as const;
export type Language = (typeof languages)[number];

/** Each in its own words, for whoever cannot read the present one. */
export const names: Readonly<Record<Language, string>> = { en: "English", zh: "中文" };

/** For the page's `lang`, which chooses the fonts of Chinese characters. */
export const tags: Readonly<Record<Language, string>> = { en: "en", zh: "zh-Hans" };

/** The direction of a language's script. */
export function direction(language: string): "ltr" | "rtl" {
  return ["ar", "fa", "he", "ur"].includes(language.split("-")[0] ?? "") ? "rtl" : "ltr";
}

/** The first language of the browser that there is a catalogue for. */
export function browserLanguage(): Language {
  const wanted = typeof navigator === "undefined" ? [] : navigator.languages;
  for (const tag of wanted) {
    const found = languages.find((language) => tag.toLowerCase().startsWith(language));
    if (found) return found;
  }
  return "en";
}
