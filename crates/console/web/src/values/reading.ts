// A value as it is written: digits in the reader's unit, what must be said beside
// them, and whether they may stand as current. Pure.
import { ReadingState } from "../../gen/proto/enroute/v1/frame_pb";
import type { Value } from "../../gen/proto/enroute/v1/live_pb";
import { idOf } from "../catalogue/catalogue";
import { convert, digits, limit, written, type Units } from "../units/units";
import { text, isKey, type Key } from "../words/words";
import type { Language } from "../words/languages";
import { measuredAt, numberOf, outside, trendOf, type Outside, type Trend } from "./values";

export interface Reading {
  /** What stands in the value's place; empty: nothing may. */
  readonly digits: string;
  readonly unit: string;
  readonly stale: boolean;
  readonly outside: Outside;
  readonly trend: Trend;
  /** Why there is no value, or what is doubtful about it; empty: all is well. */
  readonly remark: string;
  /** When it was measured or, if that is not known, came; server's clock. */
  readonly atMs: number;
  readonly limits: string;
}

const STATES: Readonly<Partial<Record<ReadingState, Key>>> = {
  [ReadingState.QUESTIONABLE]: "state.questionable",
  [ReadingState.CALIBRATING]: "state.calibrating",
  [ReadingState.TEST]: "state.test",
  [ReadingState.NOT_AVAILABLE]: "state.not_available",
  [ReadingState.SENSOR_OFF]: "state.sensor_off",
  [ReadingState.INVALID]: "state.invalid",
  [ReadingState.OVERFLOW]: "state.overflow",
  [ReadingState.UNDERFLOW]: "state.underflow",
  [ReadingState.MISSING]: "state.missing",
};

export function reading(value: Value, language: Language, units: Units): Reading {
  const remarks: string[] = [];
  if (value.implausible) remarks.push(text(language, "state.implausible"));
  const state = STATES[value.state];
  if (state) remarks.push(text(language, state));
  return {
    ...inUnit(value, language, units),
    stale: value.stale,
    outside: outside(value),
    trend: trendOf(value),
    remark: remarks.join(", "),
    atMs: measuredAt(value),
    limits: limitsOf(value, units),
  };
}

function inUnit(value: Value, language: Language, units: Units): { digits: string; unit: string } {
  const number = numberOf(value);
  if (number === null) return { digits: "", unit: written(value.unit) };
  const id = idOf(value.code);
  const word = id === "acvpu" ? `acvpu.${number}` : id === "o2_supp" ? `oxygen.${number}` : "";
  if (isKey(word)) return { digits: text(language, word), unit: "" };
  const amount = convert(number, value.decimals, value.unit, units);
  return { digits: digits(amount), unit: amount.unit };
}

function limitsOf(value: Value, units: Units): string {
  const bound = (one: number | undefined, other: number | undefined): string => {
    const known = one ?? other;
    return known === undefined ? "" : limit(known, value.unit, units);
  };
  const low = bound(value.warnLow, value.critLow);
  const high = bound(value.warnHigh, value.critHigh);
  if (low === "" && high === "") return "";
  if (low === "") return `≤ ${high}`;
  return high === "" ? `≥ ${low}` : `${low}–${high}`;
}
