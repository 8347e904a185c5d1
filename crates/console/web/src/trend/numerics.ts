// Values out of frames. Pure.
import type { Samples, TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { idOf } from "../catalogue/catalogue";
import { frameOf } from "../sweep/runs";
import { decimal, hasNumber } from "../values/values";

export interface Numeric {
  readonly id: string;
  /** The moment of capture on the server's clock, milliseconds. */
  readonly at: number;
  readonly number: number;
  /** Filled in behind. */
  readonly late: boolean;
}

/** How far each gateway's clock is ahead of the server's, milliseconds. */
export function offsetsOf(state: TransferState | null): ReadonlyMap<string, number> {
  const known = state?.source.filter((source) => source.clocks?.gatewayUs !== undefined) ?? [];
  return new Map(known.map((source) => [source.gateway, Number(source.clocks?.gatewayUs ?? 0n) / 1000]));
}

/** The values of a frame that have a number and a place in the catalogue. */
export function numericsOf(samples: Samples, offsets: ReadonlyMap<string, number>): Numeric[] {
  const frame = frameOf(samples);
  if (frame?.body.case !== "numerics" || !frame.header) return [];
  const { code, value, decimals, state } = frame.body.value;
  const at = Number(frame.header.capturedAtUs) / 1000 - (offsets.get(samples.gateway) ?? 0);
  const found: Numeric[] = [];
  code.forEach((one, column) => {
    const id = idOf(one);
    if (id === "" || !hasNumber(state[column] ?? 0)) return;
    const number = decimal(value[column] ?? 0n, decimals[column] ?? 0);
    found.push({ id, at, number, late: samples.late });
  });
  return found;
}
