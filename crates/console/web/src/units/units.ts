// Units as people write them, and those that the reader chooses. Pure.

export interface Units {
  readonly pressure: "mmHg" | "kPa";
  readonly temperature: "C" | "F";
}

/** A number in the reader's unit. */
export interface Amount {
  readonly number: number;
  readonly decimals: number;
  readonly unit: string;
}

/** By definition of the conventional millimetre of mercury (ISO 80000-4). */
const KPA_PER_MMHG = 0.133322387415;

const WRITTEN: Readonly<Record<string, string>> = {
  "mm[Hg]": "mmHg",
  "cm[H2O]": "cmH₂O",
  Cel: "°C",
  "1": "",
  "{score}": "",
  "{ratio}": "",
  Ohm: "Ω",
};

/** A UCUM unit as people write it. */
export function written(ucum: string): string {
  return WRITTEN[ucum] ?? ucum;
}

/** A number with its unit as the reader wants both. */
export function convert(number: number, decimals: number, ucum: string, units: Units): Amount {
  if (ucum === "mm[Hg]" && units.pressure === "kPa") {
    return { number: number * KPA_PER_MMHG, decimals: Math.max(decimals, 1), unit: "kPa" };
  }
  if (ucum === "Cel" && units.temperature === "F") {
    return { number: number * 1.8 + 32, decimals, unit: "°F" };
  }
  return { number, decimals, unit: written(ucum) };
}

/** What a person typed in their unit, in the catalogue's: `convert` the other way. The
 * ninth place hides what a binary fraction cannot hold (100.4 °F is 38 °C). */
export function revert(number: number, ucum: string, units: Units): number {
  const nine = (exact: number): number => Number(exact.toFixed(9));
  if (ucum === "mm[Hg]" && units.pressure === "kPa") return nine(number / KPA_PER_MMHG);
  if (ucum === "Cel" && units.temperature === "F") return nine((number - 32) / 1.8);
  return number;
}

/** The unit in which the reader sees a quantity. */
export function unitOf(ucum: string, units: Units): string {
  return convert(0, 0, ucum, units).unit;
}

/** Digits with the places that the source gave. */
export function digits(amount: Amount): string {
  const text = amount.number.toFixed(Math.min(amount.decimals, 9));
  // No sign before a zero.
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}

/** A limit: no more places than it needs, and not more than a limit has in any unit. */
export function limit(number: number, ucum: string, units: Units): string {
  const amount = convert(number, 0, ucum, units);
  const places = amount.unit === written(ucum) ? 2 : 1;
  return String(Number(amount.number.toFixed(places)));
}
