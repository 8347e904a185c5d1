// A transfer's recorded values, read from the server. I/O.
import { live } from "../stream/follow";
import type { Alert } from "../../gen/proto/enroute/v1/live_pb";
import { numericsOf, type Numeric } from "./numerics";

/** Alerts of a course that are remembered; the newest stay. */
const ALERTS_MAX = 2_000;

/** When alerts began, of all that is recorded; at most the newest 2,000. */
export async function readAlerts(transfer: string, signal: AbortSignal): Promise<Alert[]> {
  const known = new Map<string, Alert>();
  for await (const response of live.alertHistory({ transfer }, { signal })) {
    for (const step of response.alert) {
      if (!step.alert) continue;
      const key = `${step.transfer} ${step.alert.alertId}`;
      const before = known.get(key);
      // Its mark has the highest priority that it had.
      if (!before || before.priority < step.alert.priority) known.set(key, step.alert);
      if (known.size > ALERTS_MAX) known.delete(known.keys().next().value ?? "");
    }
  }
  return [...known.values()];
}

/** Reads all that is recorded; `take` gets each value once, oldest position first. */
export async function readHistory(
  transfer: string,
  offsets: ReadonlyMap<string, number>,
  signal: AbortSignal,
  take: (numeric: Numeric) => void,
): Promise<void> {
  for await (const response of live.history({ transfer }, { signal })) {
    for (const samples of response.samples) {
      for (const numeric of numericsOf(samples, offsets)) take(numeric);
    }
    // A long course must not hold up the drawing.
    await new Promise((done) => setTimeout(done));
  }
}
