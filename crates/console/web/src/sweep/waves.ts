// The channels of the patient on the screen. Fed with samples; draws nothing.
import type { Samples } from "../../gen/proto/enroute/v1/live_pb";
import { idOf } from "../catalogue/catalogue";
import { frameOf, runsOf } from "./runs";
import { Trace } from "./trace";

/** Channels kept; further ones are not drawn. */
const CHANNELS_MAX = 16;
/** A window is never wider: bounds what is kept. */
export const WINDOW_MAX_MS = 40_000;

export interface Channel {
  readonly key: string;
  readonly gateway: string;
  readonly code: number;
  readonly label: string;
  readonly unit: string;
  readonly trace: Trace;
}

export class Waves {
  readonly #channels = new Map<string, Channel>();

  /** Takes samples that arrived now; true: there is a new channel. Late ones are
   * never drawn as now. */
  take(samples: Samples, now: number): boolean {
    if (samples.late) return false;
    const frame = frameOf(samples);
    if (!frame) return false;
    let grown = false;
    for (const run of runsOf(samples.gateway, frame)) {
      let channel = this.#channels.get(run.channel);
      if (!channel) {
        if (this.#channels.size >= CHANNELS_MAX) continue;
        const trace = new Trace(run.step, WINDOW_MAX_MS);
        channel = { key: run.channel, gateway: run.gateway, code: run.code, label: run.label, unit: run.unit, trace };
        this.#channels.set(run.channel, channel);
        grown = true;
      }
      channel.trace.extend(run, now);
    }
    return grown;
  }

  /** In the order of a bedside monitor. */
  inOrder(): Channel[] {
    return [...this.#channels.values()].sort((a, b) => rank(a.code) - rank(b.code) || (a.key < b.key ? -1 : 1));
  }
}

function rank(code: number): number {
  const id = idOf(code);
  if (id === "ecg_ii") return 0;
  if (id.startsWith("ecg")) return 1;
  const place = ["abp", "pleth", "co2", "resp", "paw", "flow", "cvp", "pap", "icp"].indexOf(id);
  return place < 0 ? 20 : place + 2;
}
