import { expect, test } from "vitest";
import { line, mantissa, parse, typed } from "./limits";
import { VITALS } from "../catalogue/catalogue";

const of = (critLow: string, warnLow: string, warnHigh: string, critHigh: string) => ({ critLow, warnLow, warnHigh, critHigh });

test("limits are numbers in ascending order, and an empty field is none", () => {
  expect(parse(of("84", "88,5", "", " "))).toEqual({ critLow: 84, warnLow: 88.5 });
  expect(parse(of("", "", "", ""))).toEqual({});
  expect(parse(of("90", "88", "", ""))).toBeNull();
  expect(parse(of("", "100", "90", ""))).toBeNull();
  expect(parse(of("x", "", "", ""))).toBeNull();
});

test("what is in force is typed as it is parsed", () => {
  expect(parse(typed({ warnLow: 88, critHigh: 140 } as Parameters<typeof typed>[0] & object))).toEqual({ warnLow: 88, critHigh: 140 });
  expect(parse(typed(null))).toEqual({});
});

test("limits in a line leave out what there is not", () => {
  expect(line({ critLow: 84, warnLow: 88, warnHigh: 110 } as Parameters<typeof line>[0])).toBe("84 88 – 110");
});

test("a baseline is a decimal", () => {
  const code = VITALS[0]?.code ?? 0;
  expect(mantissa("36,6", code)).toEqual({ value: 366n, decimals: 1 });
  expect(mantissa("", code)).toBeNull();
  expect(mantissa("a", code)).toBeNull();
  expect(mantissa("1", 1)).toBeNull();
});
