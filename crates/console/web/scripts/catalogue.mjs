// Writes gen/catalogue.json out of the reference tables, so that codes, units
// and kinds of quantities stand in one place only, and so do the words of the
// rule book's conditions.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const model = new URL("../../../model/", import.meta.url);
const alert = new URL("../../../alert/", import.meta.url);

/** Rows of a CSV file as objects; fields may be quoted. */
function rows(name, room = model) {
  const text = readFileSync(new URL(`data/${name}.csv`, room), "utf8");
  const [head, ...lines] = text.trim().split("\n").map(fields);
  return lines.map((line) => Object.fromEntries(head.map((key, i) => [key, line[i]])));
}

function fields(line) {
  const found = [];
  for (const part of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)) {
    found.push((part[1] ?? part[2]).replaceAll('""', '"'));
  }
  return found;
}

/** Local codes stand in the source of the catalogue. */
function localCodes() {
  const source = readFileSync(new URL("src/catalogue.rs", model), "utf8");
  const base = /const PRIVATE: u32 = (\d+) << (\d+);/.exec(source);
  const partition = Number(base[1]) * 2 ** Number(base[2]);
  const found = source.matchAll(/\("(\w+)", PRIVATE \+ (\d+)\)/g);
  return new Map([...found].map((one) => [one[1], partition + Number(one[2])]));
}

/** The quantity that each condition of the built-in rule book is shown with. */
function metrics() {
  const book = readFileSync(new URL("rules/conditions.toml", alert), "utf8");
  const conditions = book.split("[[condition]]").slice(1);
  const word = (text, key) => new RegExp(`^${key} = "(\\w+)"$`, "m").exec(text)[1];
  return Object.fromEntries(conditions.map((one) => [word(one, "id"), word(one, "metric")]));
}

const local = localCodes();
const number = (text) => (text === "" || text === undefined ? null : Number(text));
const catalogue = {
  vitals: rows("vitals").map((row) => ({
    id: row.id,
    label: row.label,
    code: local.get(row.id) ?? Number(row.mdc_cf_code10),
    unit: row.ucum,
    kind: row.kind,
    interval: number(row.typical_update_s),
  })),
  waveforms: rows("waveforms").map((row) => ({
    id: row.id,
    label: row.label,
    code: Number(row.mdc_cf_code10),
    unit: row.ucum,
  })),
  rules: Object.fromEntries(
    rows("rule_words", alert).map(({ rule, ...words }) => [rule, words]),
  ),
  ruleMetrics: metrics(),
};
for (const one of [...catalogue.vitals, ...catalogue.waveforms]) {
  if (!Number.isInteger(one.code) || one.code <= 0) throw new Error(`no code for ${one.id}`);
}
const gen = new URL("../gen/", import.meta.url);
mkdirSync(gen, { recursive: true });
writeFileSync(new URL("catalogue.json", gen), `${JSON.stringify(catalogue, null, 1)}\n`);
