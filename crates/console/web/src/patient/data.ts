// Completeness and clocks in words. Pure.
import { GapCause } from "../../gen/proto/enroute/v1/frame_pb";
import type { Key } from "../words/words";

/** Why frames are not there. */
export function cause(cause: GapCause): Key {
  switch (cause) {
    case GapCause.SPOOL_FULL:
      return "data.cause.full";
    case GapCause.RESTORED:
      return "data.cause.restored";
    case GapCause.DAMAGED:
      return "data.cause.damaged";
    case GapCause.SPOOL_LOST:
      return "data.cause.lost";
    case GapCause.UNSPECIFIED:
      return "data.cause.may_come";
  }
}

/** A difference of clocks with its uncertainty: `+343.6 s ± 30 ms`. */
export function offset(us: bigint | undefined, errorUs: bigint): string | null {
  if (us === undefined) return null;
  const sign = us < 0n ? "−" : "+";
  return `${sign}${size(us < 0n ? -us : us)} ± ${size(errorUs)}`;
}

function size(us: bigint): string {
  const ms = Number(us) / 1000;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 3600) return `${seconds.toFixed(1)} s`;
  const days = seconds / 86_400;
  return days < 2 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(days)} d`;
}
