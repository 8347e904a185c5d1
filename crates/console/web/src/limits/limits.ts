// What a person types as limits, and what may be asked for. Pure.
import type { Limits } from "../../gen/proto/enroute/v1/transfers_pb";
import type { TransferState, Value } from "../../gen/proto/enroute/v1/live_pb";
import { VITALS } from "../catalogue/catalogue";
import { convert, digits, limit, revert, type Units } from "../units/units";
import { newest, numberOf } from "../values/values";

export const SIDES = ["critLow", "warnLow", "warnHigh", "critHigh"] as const;
export type Side = (typeof SIDES)[number];
export type Typed = Readonly<Record<Side, string>>;

/** Whose figures are typed: the quantity's unit, and the reader's. */
export interface Measure {
  readonly ucum: string;
  readonly units: Units;
}

type Given = Readonly<Partial<Record<Side, number | undefined>>>;

/** A number as people type it, in the catalogue's unit; null: none. */
function number(text: string, { ucum, units }: Measure): number | null {
  const written = text.trim().replace(",", ".");
  if (!/^[-+]?(\d+\.?\d*|\.\d+)$/.test(written)) return null;
  return revert(Number(written), ucum, units);
}

/** What is typed, as limits in the catalogue's unit; null: not numbers, or not in
 * ascending order. An empty field is no limit. A field that still says what was
 * `given` is that limit itself: to look at a figure in another unit changes nothing. */
export function parse(fields: Typed, given: Given | null, measure: Measure): Partial<Record<Side, number>> | null {
  const shown = typed(given, measure);
  const limits: Partial<Record<Side, number>> = {};
  let last = Number.NEGATIVE_INFINITY;
  for (const side of SIDES) {
    if (fields[side].trim() === "") continue;
    const kept = fields[side] === shown[side] ? given?.[side] : undefined;
    const found = kept ?? number(fields[side], measure);
    if (found === null || found < last) return null;
    last = found;
    limits[side] = found;
  }
  return limits;
}

/** The limits in force, as they would be typed. */
export function typed(value: Given | null, { ucum, units }: Measure): Typed {
  const one = (side: Side): string => {
    const given = value?.[side];
    return given === undefined ? "" : limit(given, ucum, units);
  };
  return { critLow: one("critLow"), warnLow: one("warnLow"), warnHigh: one("warnHigh"), critHigh: one("critHigh") };
}

/** The vital signs that this patient gives, in the order of the catalogue. */
export function known(state: TransferState): { readonly code: number; readonly value: Value }[] {
  return VITALS.flatMap(({ id, code }) => {
    const found = newest(state, id);
    return found === null ? [] : [{ code, value: found.value }];
  });
}

/** A baseline's number as the contract has it: with a place more than the reader's
 * unit needs to be shown back as it was typed. */
export function mantissa(text: string, measure: Measure): { readonly value: bigint; readonly decimals: number } | null {
  const found = number(text, measure);
  return found === null ? null : { value: BigInt(Math.round(found * 1000)), decimals: 3 };
}

/** Limits in a line, such as `84 88 – 110 130`. */
export function line(limits: Limits | undefined, { ucum, units }: Measure): string {
  const two = (...sides: (number | undefined)[]): string =>
    sides.flatMap((one) => (one === undefined ? [] : [limit(one, ucum, units)])).join(" ");
  return `${two(limits?.critLow, limits?.warnLow)} – ${two(limits?.warnHigh, limits?.critHigh)}`;
}

/** The number that stands now; empty when none may. */
export function present(value: Value, { ucum, units }: Measure): string {
  const found = numberOf(value);
  return found === null || value.stale ? "" : digits(convert(found, value.decimals, ucum, units));
}
