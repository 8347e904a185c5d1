// Which cards are shown. Pure.
import type { TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { linkUp, stands } from "../picture/picture";
import { ms } from "../values/values";

export const shows = ["all", "alert", "link", "soon", "pinned"] as const;
export type Show = (typeof shows)[number];

export interface Wish {
  readonly show: Show;
  readonly search: string;
  /** Empty: all. */
  readonly hospital: string;
}

const SOON_MS = 30 * 60_000;

export function matches(state: TransferState, wish: Wish, pinned: readonly string[], nowMs: number): boolean {
  if (wish.hospital !== "" && state.info?.hospital !== wish.hospital) return false;
  return kind(state, wish.show, pinned, nowMs) && found(state, wish.search);
}

function kind(state: TransferState, show: Show, pinned: readonly string[], nowMs: number): boolean {
  switch (show) {
    case "all":
      return true;
    case "alert":
      return state.alert.some(stands);
    case "link":
      return linkUp(state) === false;
    case "soon": {
      const eta = state.travel?.etaUs;
      return eta !== undefined && ms(eta) - nowMs <= SOON_MS;
    }
    case "pinned":
      return pinned.includes(state.transfer);
  }
}

/** Every word somewhere in what the card says; codes with or without their dash. */
function found(state: TransferState, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return true;
  const legs = state.info?.leg ?? [];
  const said = [
    state.shortCode,
    shortCode(state.shortCode),
    state.transfer,
    state.info?.concern ?? "",
    state.info?.hospital ?? "",
    ...(state.info?.condition ?? []).map((condition) => condition.replaceAll("_", " ")),
    ...legs.flatMap((leg) => [leg.vehicle, leg.from?.name ?? "", leg.to?.name ?? ""]),
  ];
  const text = said.join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** A short code with a dash in the middle, as read over a telephone. */
export function shortCode(code: string): string {
  return code.length > 3 ? `${code.slice(0, 3)}-${code.slice(3)}` : code;
}
