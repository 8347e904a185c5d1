// What a code of the contract stands for, out of the reference tables.
import tables from "../../gen/catalogue.json";

export interface Quantity {
  readonly id: string;
  readonly label: string;
  readonly code: number;
  /** UCUM. */
  readonly unit: string;
  /** How it is measured: continuous, per-breath, intermittent, manual, derived. */
  readonly kind?: string;
}

export const VITALS: readonly Quantity[] = tables.vitals;
export const WAVEFORMS: readonly Quantity[] = tables.waveforms;

const byCode = new Map<number, Quantity>(
  [...WAVEFORMS, ...VITALS].map((quantity) => [quantity.code, quantity]),
);

/** The quantity of a code, if the catalogue has it. */
export function quantity(code: number): Quantity | undefined {
  return byCode.get(code);
}

/** The catalogue's short id of a code; empty when it has none. */
export function idOf(code: number): string {
  return byCode.get(code)?.id ?? "";
}

/** Whether its values belong together closely enough in time to join them. */
export function isContinuous(code: number): boolean {
  const kind = byCode.get(code)?.kind;
  return kind !== "intermittent" && kind !== "manual";
}
