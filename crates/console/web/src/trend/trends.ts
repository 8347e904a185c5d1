// The last hour of what the board shows, for its sparklines: gathered from what
// the page is told. Bounded: by quantity, and by the transfers that are open.
import type { TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { BOARD, measuredAt, newest, numberOf } from "../values/values";
import type { Numeric } from "./numerics";
import { Series } from "./series";

const SLOT_MS = 10_000;
const SLOTS = 360;
/** How much of the past a sparkline shows. */
export const SPARK_MS = 30 * 60_000;

const IDS = BOARD.flatMap((group) => group.lead);

export class Trends {
  readonly #of = new Map<string, Map<string, Series>>();

  /** Takes the newest values of a transfer. */
  take(state: TransferState): void {
    for (const id of IDS) {
      const sourced = newest(state, id);
      if (!sourced || sourced.value.stale) continue;
      const number = numberOf(sourced.value);
      if (number !== null) this.add(state.transfer, id, measuredAt(sourced.value), number, false);
    }
  }

  add(transfer: string, id: string, at: number, number: number, late: boolean): void {
    if (!IDS.includes(id)) return;
    let series = this.#of.get(transfer);
    if (!series) this.#of.set(transfer, (series = new Map()));
    let one = series.get(id);
    if (!one) series.set(id, (one = new Series(SLOT_MS, SLOTS, "newest")));
    one.add(at, number, late);
  }

  /** Takes the values of a transfer's history. */
  adder(transfer: string): (numeric: Numeric) => void {
    return ({ id, at, number, late }) => this.add(transfer, id, at, number, late);
  }

  of(transfer: string, id: string): Series | null {
    return this.#of.get(transfer)?.get(id) ?? null;
  }

  /** Forgets transfers that are no more. */
  keep(transfers: { has(id: string): boolean }): void {
    for (const id of [...this.#of.keys()]) if (!transfers.has(id)) this.#of.delete(id);
  }
}
