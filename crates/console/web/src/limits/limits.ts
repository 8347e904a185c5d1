// What a person types as limits, and what may be asked for. Pure.
import type { Limits } from "../../gen/proto/enroute/v1/transfers_pb";
import type { TransferState, Value } from "../../gen/proto/enroute/v1/live_pb";
import { quantity, VITALS } from "../catalogue/catalogue";
import { newest, numberOf } from "../values/values";

export const SIDES = ["critLow", "warnLow", "warnHigh", "critHigh"] as const;
export type Side = (typeof SIDES)[number];
export type Typed = Readonly<Record<Side, string>>;

/** What is typed, as limits; null: not numbers, or not in ascending order. An empty
 * field is no limit. */
export function parse(typed: Typed): Partial<Record<Side, number>> | null {
  const limits: Partial<Record<Side, number>> = {};
  let last = Number.NEGATIVE_INFINITY;
  for (const side of SIDES) {
    const text = typed[side].trim().replace(",", ".");
    if (text === "") continue;
    const number = Number(text);
    if (!Number.isFinite(number) || number < last) return null;
    last = number;
    limits[side] = number;
  }
  return limits;
}

/** The limits in force, as they would be typed. */
export function typed(value: Pick<Value, Side> | null): Typed {
  const one = (side: Side): string => (value?.[side] === undefined ? "" : String(value[side]));
  return { critLow: one("critLow"), warnLow: one("warnLow"), warnHigh: one("warnHigh"), critHigh: one("critHigh") };
}

/** The vital signs that this patient gives, in the order of the catalogue. */
export function known(state: TransferState): { readonly code: number; readonly value: Value }[] {
  return VITALS.flatMap(({ id, code }) => {
    const found = newest(state, id);
    return found === null ? [] : [{ code, value: found.value }];
  });
}

/** A baseline's number as the contract has it, in the catalogue's places. */
export function mantissa(text: string, code: number): { readonly value: bigint; readonly decimals: number } | null {
  const number = Number(text.trim().replace(",", "."));
  if (text.trim() === "" || !Number.isFinite(number) || !quantity(code)) return null;
  return { value: BigInt(Math.round(number * 10)), decimals: 1 };
}

/** Limits in a line, such as `84 88 – 110 130`. */
export function line(limits: Limits | undefined): string {
  const two = (...sides: (number | undefined)[]): string => sides.filter((one) => one !== undefined).join(" ");
  return `${two(limits?.critLow, limits?.warnLow)} – ${two(limits?.warnHigh, limits?.critHigh)}`;
}

/** The number that stands now; empty when none may. */
export function present(value: Value): string {
  const number = numberOf(value);
  return number === null || value.stale ? "" : String(number);
}
