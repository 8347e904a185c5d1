// The order of the cards: most urgent first, and stable under the hand. Pure.
import type { TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { stands } from "../picture/picture";

type Rank = readonly [closed: number, unpinned: number, priority: number, technical: number, since: number];

function rank(state: TransferState, pinned: boolean): Rank {
  let best: Rank | null = null;
  for (const alert of state.alert) {
    if (!stands(alert)) continue;
    const one: Rank = [0, 0, -alert.priority, alert.physiological ? 0 : 1, Number(alert.sinceUs)];
    if (best === null || compare(one, best) < 0) best = one;
  }
  const [, , priority, technical, since] = best ?? [0, 0, 0, 1, Number(state.startedAtUs)];
  return [state.closed ? 1 : 0, pinned ? 0 : 1, priority, technical, since];
}

function compare(a: Rank, b: Rank): number {
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Ids: open before closed, pinned first, then the highest priority of an alert
 * that stands, physiological before technical, the older alert, the id. */
export function byUrgency(states: Iterable<TransferState>, pinned: readonly string[] = []): string[] {
  const ranked = [...states].map((state) => ({
    id: state.transfer,
    rank: rank(state, pinned.includes(state.transfer)),
  }));
  ranked.sort((a, b) => compare(a.rank, b.rank) || (a.id < b.id ? -1 : 1));
  return ranked.map((one) => one.id);
}

/** The order on the screen while a hand is on the board: what is shown stays in
 * its place, what is gone goes, what is new comes last. */
export function held(shown: readonly string[], wanted: readonly string[]): string[] {
  const there = new Set(wanted);
  const kept = shown.filter((id) => there.has(id));
  const known = new Set(kept);
  return [...kept, ...wanted.filter((id) => !known.has(id))];
}

/** How many cards would have another place. */
export function moved(shown: readonly string[], wanted: readonly string[]): number {
  return wanted.filter((id, place) => shown[place] !== id).length;
}
