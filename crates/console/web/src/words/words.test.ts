import tables from "../../gen/catalogue.json";
import { ruleTitle } from "../alerts/alerts";
import { describe, expect, test } from "vitest";
import { VITALS, WAVEFORMS } from "../catalogue/catalogue";
import { direction, languages, names, tags } from "./languages";
import { catalogues, isKey, text } from "./words";

const sources = import.meta.glob("../**/*.{svelte,ts}", { query: "?raw", import: "default", eager: true }) as Record<string, string>;
const parts = (words: string): string[] => [...words.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
const forms = (entry: string | Readonly<Record<string, string | undefined>>): string[] =>
  typeof entry === "string" ? [entry] : Object.values(entry).filter((one) => one !== undefined);

describe("words", () => {
  test.each(languages)("the catalogue of %s is complete", (language) => {
    const own = catalogues[language];
    expect(Object.keys(own).sort()).toEqual(Object.keys(catalogues.en).sort());
    for (const [key, english] of Object.entries(catalogues.en)) {
      const entry = own[key as keyof typeof own];
      const wanted = parts(forms(english)[0] ?? "");
      for (const form of forms(entry)) {
        expect(form.trim(), key).not.toBe("");
        expect(parts(form), key).toEqual(wanted);
      }
    }
  });

  test.each(languages)("every plural category of %s has a form", (language) => {
    const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const [key, entry] of Object.entries(catalogues[language])) {
      if (typeof entry !== "string") expect(Object.keys(entry), key).toEqual(expect.arrayContaining(needed));
    }
  });

  test("every quantity of the catalogue has a name", () => {
    for (const { id } of [...VITALS, ...WAVEFORMS]) expect(isKey(`v.${id}`), id).toBe(true);
  });

  test("every condition of the rule book says of what it is, in every language", () => {
    for (const rule of Object.keys(tables.rules)) {
      expect(ruleTitle("en", rule), rule).toMatch(/^.+: .+$/);
      expect(ruleTitle("zh", rule), rule).toMatch(/^.+：.+$/);
    }
    expect(ruleTitle("en", "of_another_book")).toBe("of_another_book");
  });

  test("every language says its own name", () => {
    for (const language of languages) {
      expect(names[language]).not.toBe("");
      expect(tags[language]).toMatch(/^[a-z]/);
    }
    expect([direction("en"), direction("zh"), direction("ar"), direction("ar-EG")]).toEqual(["ltr", "ltr", "rtl", "rtl"]);
  });

  test("numbers choose the form", () => {
    expect(text("en", "count.lost", { n: 1 })).toBe("1 link lost");
    expect(text("en", "count.lost", { n: 2 })).toBe("2 links lost");
    expect(text("zh", "count.lost", { n: 2 })).toBe("2 条链路中断");
  });

  test("no text is used that is not there, and none lies unused", () => {
    const code = Object.entries(sources).filter(([path]) => !/words\/(en|zh)\.ts$|\.test\.ts$/.test(path));
    const all = code.map(([, source]) => source).join("\n");
    for (const [, key] of all.matchAll(/\bt\(\s*"([^"]+)"/g)) expect(isKey(key ?? ""), key).toBe(true);
    // Keys that are put together of a beginning and a word.
    const begun = [...all.matchAll(/[`"]([a-z_.]+\.)\$\{/g)].map((match) => match[1] ?? "");
    for (const key of Object.keys(catalogues.en)) {
      const used = all.includes(`"${key}"`) || begun.some((start) => key.startsWith(start));
      expect(used, `${key} is used nowhere`).toBe(true);
    }
  });

  test("no measure of the page knows left from right", () => {
    for (const [path, source] of Object.entries(sources)) {
      const css = source.split("<style>")[1] ?? "";
      expect(css, path).not.toMatch(/\b(?:margin|padding|border|inset)-(?:left|right)\b|^\s*(?:left|right|width|height):/m);
      expect(css, path).not.toMatch(/text-align:\s*(?:left|right)/);
    }
  });
});
