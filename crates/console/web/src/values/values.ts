// Numbers of the contract: what there is to show, and what must not be shown as
// current. Pure.
import { ReadingState } from "../../gen/proto/enroute/v1/frame_pb";
import type { Source, TransferState, Value } from "../../gen/proto/enroute/v1/live_pb";
import { idOf } from "../catalogue/catalogue";

/** Microseconds of the contract as milliseconds. */
export function ms(us: bigint): number {
  return Number(us) / 1000;
}

/** A decimal of the contract. */
export function decimal(mantissa: bigint, decimals: number): number {
  return Number(mantissa) / 10 ** Math.min(decimals, 9);
}

/** Whether a number comes with this state. */
export function hasNumber(state: ReadingState): boolean {
  return state < ReadingState.NOT_AVAILABLE;
}

/** The value's number, when there is one. */
export function numberOf(value: Value): number | null {
  return hasNumber(value.state) ? decimal(value.value, value.decimals) : null;
}

/** When it was measured, on the server's clock; else when it was heard. */
export function measuredAt(value: Value): number {
  return ms(value.measuredAtUs ?? value.heardAtUs);
}

export type Trend = "up" | "down" | "steady" | "unknown";

/** The direction over the trend window: a move by more than a twentieth of the
 * value in five minutes. */
export function trendOf(value: Value): Trend {
  const number = numberOf(value);
  if (value.slopePerMin === undefined || number === null || value.stale) return "unknown";
  const step = Math.max(Math.abs(number), 1) / 20;
  const change = value.slopePerMin * 5;
  if (change > step) return "up";
  return change < -step ? "down" : "steady";
}

export type Outside = "no" | "warn" | "crit";

/** Whether a value lies outside its limits; one that is stale, doubtful or
 * implausible never counts. */
export function outside(value: Value): Outside {
  const number = numberOf(value);
  const counts = value.state === ReadingState.MEASURED && !value.stale && !value.implausible;
  if (number === null || !counts) return "no";
  const below = (limit: number | undefined): boolean => limit !== undefined && number < limit;
  const above = (limit: number | undefined): boolean => limit !== undefined && number > limit;
  if (below(value.critLow) || above(value.critHigh)) return "crit";
  return below(value.warnLow) || above(value.warnHigh) ? "warn" : "no";
}

/** A value and whose it is. */
export interface Sourced {
  readonly source: Source;
  readonly value: Value;
}

/** The value shown for a quantity: the active source's that was heard last; an
 * inactive one's only when no active one gives it. */
export function newest(state: TransferState, id: string): Sourced | null {
  let best: Sourced | null = null;
  for (const source of state.source) {
    for (const value of source.value) {
      if (idOf(value.code) !== id) continue;
      if (best === null || better({ source, value }, best)) best = { source, value };
    }
  }
  return best;
}

function better(one: Sourced, than: Sourced): boolean {
  if (one.source.active !== than.source.active) return one.source.active;
  return one.value.heardAtUs > than.value.heardAtUs;
}

/** A group of quantities shown as one: the first id known leads. */
export interface Group {
  /** The word for it, a key under `group.`. */
  readonly name: string;
  readonly lead: readonly string[];
  /** Shown after a slash; the same place in the list as the lead. */
  readonly second?: readonly string[];
  /** Shown in brackets. */
  readonly mean?: readonly string[];
}

/** What the board shows of everybody. */
export const BOARD: readonly Group[] = [
  { name: "hr", lead: ["hr", "pr"] },
  { name: "spo2", lead: ["spo2"] },
  {
    name: "bp",
    lead: ["abp_sys", "nibp_sys"],
    second: ["abp_dia", "nibp_dia"],
    mean: ["abp_mean", "nibp_mean"],
  },
  { name: "rr", lead: ["rr_co2", "rr_imp", "vent_rr"] },
  { name: "etco2", lead: ["etco2"] },
  { name: "temp", lead: ["temp1", "temp2"] },
];

export interface Shown {
  readonly group: Group;
  readonly lead: Sourced | null;
  readonly second: Sourced | null;
  readonly mean: Sourced | null;
}

/** The values of a group: the first lead that has a value that is not stale; if
 * all are stale, the one heard last. */
export function shown(state: TransferState, group: Group): Shown {
  const found = group.lead.map((id, place) => ({ place, sourced: newest(state, id) }));
  const known = found.filter((one) => one.sourced !== null);
  const current = known.find((one) => !one.sourced?.value.stale && hasNumber(one.sourced?.value.state ?? 0));
  const last = [...known].sort((a, b) => Number((b.sourced?.value.heardAtUs ?? 0n) - (a.sourced?.value.heardAtUs ?? 0n)));
  const lead = current ?? last[0];
  if (!lead) return { group, lead: null, second: null, mean: null };
  const beside = (ids: readonly string[] | undefined): Sourced | null => {
    const id = ids?.[lead.place];
    return id === undefined ? null : newest(state, id);
  };
  return { group, lead: lead.sourced, second: beside(group.second), mean: beside(group.mean) };
}

/** Colour family of a quantity or channel, as bedside monitors have it: the name
 * of a custom property without its `--v-`. */
export function colour(id: string): string {
  if (id === "hr" || id.startsWith("ecg") || id.startsWith("st_") || id === "pvc_rate") return "ecg";
  if (["spo2", "pr", "pi", "pleth"].includes(id)) return "spo2";
  if (["etco2", "fico2", "co2"].includes(id)) return "co2";
  if (["rr_co2", "rr_imp", "resp", "vent_rr", "apnea_time"].includes(id)) return "resp";
  if (id.startsWith("abp")) return "abp";
  if (id.startsWith("nibp") || id === "map_derived") return "nibp";
  if (id.startsWith("temp")) return "temp";
  if (["cvp", "pap", "icp", "cpp"].some((prefix) => id.startsWith(prefix))) return "press";
  return "other";
}
