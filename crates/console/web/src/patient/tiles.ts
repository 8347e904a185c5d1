// Which values get a tile of their own, and which stand in the list. Pure.
import type { TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { idOf } from "../catalogue/catalogue";
import { newest, shown, type Group, type Shown, type Sourced } from "../values/values";

const TILES: readonly Group[] = [
  { name: "hr", lead: ["hr"] },
  { name: "spo2", lead: ["spo2"] },
  { name: "abp", lead: ["abp_sys"], second: ["abp_dia"], mean: ["abp_mean"] },
  { name: "nibp", lead: ["nibp_sys"], second: ["nibp_dia"], mean: ["nibp_mean"] },
  { name: "rr", lead: ["rr_co2", "rr_imp", "vent_rr"] },
  { name: "etco2", lead: ["etco2"] },
  { name: "temp", lead: ["temp1", "temp2"] },
  { name: "pap", lead: ["pap_sys"], second: ["pap_dia"], mean: ["pap_mean"] },
  { name: "cvp", lead: ["cvp_mean"] },
  { name: "icp", lead: ["icp_mean"] },
];

/** A monitor has these: their place stays when they have no value. */
const ALWAYS = new Set(["hr", "spo2", "rr"]);

export interface Numbers {
  readonly tiles: readonly Shown[];
  readonly others: readonly Sourced[];
}

export function numbers(state: TransferState): Numbers {
  const tiles = TILES.map((group) => shown(state, group)).filter((one) => one.lead !== null || ALWAYS.has(one.group.name));
  const taken = new Set(
    tiles.flatMap((tile) => [tile.lead, tile.second, tile.mean]).flatMap((one) => (one ? [one.value.code] : [])),
  );
  const others = new Map<string, Sourced>();
  for (const source of state.source) {
    for (const value of source.value) {
      if (value.code !== 0 && taken.has(value.code)) continue;
      const id = idOf(value.code);
      const key = id || `${value.code} ${value.label}`;
      const best = id ? newest(state, id) : null;
      if (!others.has(key)) others.set(key, best ?? { source, value });
    }
  }
  return { tiles, others: [...others.values()].sort((a, b) => a.value.code - b.value.code) };
}
