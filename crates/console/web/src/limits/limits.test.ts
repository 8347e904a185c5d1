import { expect, test } from "vitest";
import { line, mantissa, parse, typed, type Measure } from "./limits";

const of = (critLow: string, warnLow: string, warnHigh: string, critHigh: string) => ({ critLow, warnLow, warnHigh, critHigh });
const measure = (ucum: string, pressure: "mmHg" | "kPa" = "mmHg", temperature: "C" | "F" = "C"): Measure => ({ ucum, units: { pressure, temperature } });
const PERCENT = measure("%");
const KPA = measure("mm[Hg]", "kPa");
const FAHRENHEIT = measure("Cel", "mmHg", "F");

test("limits are numbers in ascending order, and an empty field is none", () => {
  expect(parse(of("84", "88,5", "", " "), null, PERCENT)).toEqual({ critLow: 84, warnLow: 88.5 });
  expect(parse(of("", "", "", ""), null, PERCENT)).toEqual({});
  expect(parse(of("90", "88", "", ""), null, PERCENT)).toBeNull();
  expect(parse(of("", "100", "90", ""), null, PERCENT)).toBeNull();
  for (const word of ["x", "1e3", "0x10", "-", ".", "Infinity"]) expect(parse(of(word, "", "", ""), null, PERCENT), word).toBeNull();
});

test("what is in force is typed as it is parsed", () => {
  const given = { warnLow: 88, critHigh: 140 };
  expect(parse(typed(given, PERCENT), given, PERCENT)).toEqual(given);
  expect(parse(typed(null, PERCENT), null, PERCENT)).toEqual({});
});

test("what is typed in the reader's unit is converted exactly, and shown back as typed", () => {
  const pressure = parse(of("8.0", "9.3", "", "24"), null, KPA);
  expect(pressure?.critLow).toBeCloseTo(8 / 0.133322387415, 8);
  expect(typed(pressure, KPA)).toEqual(of("8", "9.3", "", "24"));
  expect(parse(of("", "96.8", "100.4", "104"), null, FAHRENHEIT)).toEqual({ warnLow: 36, warnHigh: 38, critHigh: 40 });
  for (const measure of [KPA, FAHRENHEIT]) {
    for (let tenth = 50; tenth < 1_100; tenth += 1) {
      const text = String(tenth / 10);
      expect(typed(parse(of(text, "", "", ""), null, measure), measure).critLow).toBe(text);
    }
  }
});

test("to look at limits in another unit and set one of them leaves the others alone", () => {
  const given = { critLow: 65, warnLow: 90, warnHigh: 160, critHigh: 180 };
  const fields = typed(given, KPA);
  expect(fields).toEqual(of("8.7", "12", "21.3", "24"));
  expect(parse({ ...fields, critHigh: "26" }, given, KPA)).toEqual({ ...given, critHigh: Number((26 / 0.133322387415).toFixed(9)) });
});

test("limits in a line leave out what there is not", () => {
  const limits = { critLow: 84, warnLow: 88, warnHigh: 110 } as Parameters<typeof line>[0];
  expect(line(limits, PERCENT)).toBe("84 88 – 110");
  expect(line({ warnLow: 36, warnHigh: 38.5 } as Parameters<typeof line>[0], FAHRENHEIT)).toBe("96.8 – 101.3");
});

test("a baseline is a decimal in the reader's unit", () => {
  expect(mantissa("36,6", measure("Cel"))).toEqual({ value: 36_600n, decimals: 3 });
  expect(mantissa("97.9", FAHRENHEIT)).toEqual({ value: 36_611n, decimals: 3 });
  expect(mantissa("13.3", KPA)).toEqual({ value: 99_758n, decimals: 3 });
  expect(mantissa("", PERCENT)).toBeNull();
  expect(mantissa("a", PERCENT)).toBeNull();
});
