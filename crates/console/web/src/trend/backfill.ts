// Fills the board's sparklines with what was before this page: one transfer at a
// time, the most urgent first, so that neither side is kept busy. I/O.
import { byUrgency } from "../board/order";
import { store } from "../picture/store.svelte";
import { trends } from "../picture/trends.svelte";
import { readHistory } from "./history";
import { offsetsOf } from "./numerics";

/** Transfers whose past is read for the board; of further ones it is gathered. */
const FILLED_MAX = 48;
const EVERY_MS = 400;

/** Runs until the page closes. */
export function startBackfill(): void {
  const filled = new Set<string>();
  let [reopened, busy] = [0, false];
  setInterval(() => {
    // An outage leaves a hole: all is read once more.
    if (store.reopened !== reopened) {
      reopened = store.reopened;
      filled.clear();
    }
    if (busy || !store.live || document.hidden || filled.size >= FILLED_MAX) return;
    const open = [...store.picture.transfers.values()].filter((state) => !state.closed);
    const next = byUrgency(open).find((id) => !filled.has(id));
    if (next === undefined) return;
    filled.add(next);
    busy = true;
    const offsets = offsetsOf(store.picture.transfers.get(next) ?? null);
    const take = trends.all.adder(next);
    readHistory(next, offsets, AbortSignal.timeout(30_000), take)
      // Without it the line begins now: no reason to trouble anybody.
      .catch(() => undefined)
      .finally(() => {
        busy = false;
        trends.fill(next);
      });
  }, EVERY_MS);
}
