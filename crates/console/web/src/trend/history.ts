// A transfer's recorded values, read from the server. I/O.
import { live } from "../stream/follow";
import { numericsOf, type Numeric } from "./numerics";

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
