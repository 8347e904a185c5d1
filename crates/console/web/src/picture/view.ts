// What a patient's page is drawn from: the present, or a recording that plays.
// Components ask for the one that they stand in and need not know which it is.
import { createContext } from "svelte";
import type { AlertTransition, Samples, TransferState } from "../../gen/proto/enroute/v1/live_pb";

export interface View {
  /** The moment that is shown, in milliseconds of the server's clock, moving once
   * a second of what is shown. */
  readonly now: number;
  /** The same, for what moves faster. */
  serverNow(): number;
  /** A clock in milliseconds that runs as what is shown runs, and never steps
   * unless what is shown jumps. */
  clock(): number;
  /** The transfer that goes by this id, alias or short code; null: not known (yet). */
  state(name: string): TransferState | null;
  /** Each recorded or live frame as it comes. */
  onSamples(listener: (samples: Samples) => void): () => void;
  /** The newest steps of alerts. */
  readonly steps: readonly AlertTransition[];
  /** Why what was missed could not be told; changes when all is to be read again. */
  readonly missed: string;
  /** Counts the jumps of what is shown: what was drawn before one does not go on. */
  readonly jump: number;
  /** The recording's first and last moment; null: this is the present. */
  readonly recording: { readonly from: number; readonly to: number } | null;
}

const [view, provideView] = createContext<View>();
export { provideView, view };
