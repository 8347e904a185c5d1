// The board's trends as components see them.
import { SvelteMap } from "svelte/reactivity";
import { Trends } from "../trend/trends";

class Kept {
  readonly all = new Trends();
  /** By transfer, how often its past was filled in. */
  readonly #filled = new SvelteMap<string, number>();

  filled(transfer: string): number {
    return this.#filled.get(transfer) ?? 0;
  }

  fill(transfer: string): void {
    this.#filled.set(transfer, this.filled(transfer) + 1);
  }

  /** Forgets transfers that are no more. */
  keep(transfers: { has(id: string): boolean }): void {
    this.all.keep(transfers);
    for (const id of [...this.#filled.keys()]) if (!transfers.has(id)) this.#filled.delete(id);
  }
}

export const trends = new Kept();
