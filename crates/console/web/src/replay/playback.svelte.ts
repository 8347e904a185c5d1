// One recording that plays: its stream, its picture, where the playhead stands.
// A view like the present's; nothing of it goes into the present's picture.
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AlertTransition, Samples, TransferState } from "../../gen/proto/enroute/v1/live_pb";
import {
  Replay,
  ReplayOrder,
  ReplayState,
  type ControlRequestSchema,
  type PlayResponse,
  type Recording,
  type Replayed,
} from "../../gen/proto/enroute/v1/replay_pb";
import { Picture } from "../picture/picture";
import type { View } from "../picture/view";
import { transport } from "../stream/follow";
import { ms } from "../values/values";
import { login } from "../who/login.svelte";
import { Playhead } from "./playhead";

export const replay: Client<typeof Replay> = createClient(Replay, transport);

export type Command = NonNullable<MessageInitShape<typeof ControlRequestSchema>["command"]>;

/** How fast it begins. */
type Pace = Pick<Replayed, "speed" | "fastest"> & { readonly paused: boolean };

/** All that is recorded, the newest first. */
export async function recordings(signal: AbortSignal): Promise<Recording[]> {
  return (await replay.listRecordings({}, { signal })).recording;
}

/** Steps of alerts kept for display. */
const STEPS_MAX = 500;
/** How often the shown time is looked at. */
const TICK_MS = 250;
/** The stream says something each second; after this silence it is not trusted. */
const SILENT_AFTER_MS = 3_000;

export class Playback implements View {
  now = $state(0);
  steps: readonly AlertTransition[] = [];
  readonly missed = "";
  recording: { readonly from: number; readonly to: number } = $state.raw({ from: 0, to: 0 });
  /** What the server says of it; null before its first word. */
  said: Replayed | null = $state.raw(null);
  /** Counts the jumps: what was drawn before one does not go on. */
  jump = $state(0);
  /** Why it does not play; empty: it does. */
  failed = $state("");
  /** Nothing came for longer than it may. */
  silent = $state(false);

  #whole: TransferState | null = $state.raw(null);
  #picture = new Picture();
  readonly #head = new Playhead();
  readonly #sampled = new Set<(samples: Samples) => void>();
  readonly #abort = new AbortController();
  #heardAt = 0;

  /** Plays from a moment (null: from the first) until `stop`. */
  start(transfer: string, from: number | null): void {
    this.#heardAt = performance.now();
    const ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#abort.signal.addEventListener("abort", () => clearInterval(ticking));
    void this.#play(transfer, from, { speed: 1, fastest: false, paused: false });
  }

  stop(): void {
    this.#abort.abort();
  }

  async control(command: Command): Promise<void> {
    if (!this.said) return;
    try {
      const answer = await replay.control({ playback: this.said.playback, command });
      if (answer.replayed) this.#take(answer.replayed);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.failed = ConnectError.from(error).rawMessage;
    }
  }

  serverNow(): number {
    return this.#head.at(performance.now());
  }

  clock(): number {
    return this.serverNow();
  }

  state(name: string): TransferState | null {
    const whole = this.#whole;
    if (!whole) return null;
    const named = whole.transfer === name || whole.shortCode === name.toUpperCase() || whole.alias.includes(name);
    return named ? whole : null;
  }

  onSamples(listener: (samples: Samples) => void): () => void {
    this.#sampled.add(listener);
    return () => this.#sampled.delete(listener);
  }

  async #play(transfer: string, from: number | null, pace: Pace): Promise<void> {
    const asked = {
      transfer,
      order: ReplayOrder.ARRIVAL,
      ...pace,
      samples: true,
      waveforms: true,
      ...(from === null ? {} : { fromUs: BigInt(Math.round(from)) * 1000n }),
    };
    const token = login.token;
    try {
      for await (const response of replay.play(asked, { signal: this.#abort.signal })) this.#hear(response);
      if (!this.#abort.signal.aborted) this.failed = "the server ended the stream";
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      const refusal = ConnectError.from(error);
      // Begun on a token that is over, while the page has the next one: it goes on there.
      if (refusal.code === Code.Unauthenticated && login.token !== "" && login.token !== token && this.said) await this.#again(transfer, this.said);
      else this.failed = refusal.rawMessage;
    }
  }

  /** The same in another playback, from where this one stood. */
  async #again(transfer: string, { recordedAtUs, speed, fastest, state }: Replayed): Promise<void> {
    // That one counts its jumps from the start.
    this.said = null;
    this.#picture = new Picture();
    return this.#play(transfer, ms(recordedAtUs), { speed, fastest, paused: state === ReplayState.PAUSED });
  }

  #hear(response: PlayResponse): void {
    this.#heardAt = performance.now();
    const { replayed, recorded } = response;
    // Without the mark it is not shown, whatever it holds.
    if (!replayed) return;
    this.#take(replayed);
    if (!recorded) return;
    const changes = this.#picture.apply(recorded);
    if (changes.steps.length > 0) this.steps = [...this.steps, ...changes.steps].slice(-STEPS_MAX);
    const whole = this.#picture.transfers.values().next().value;
    if (changes.transfers.size > 0 && whole) this.#whole = { ...whole };
    for (const samples of changes.samples) for (const told of this.#sampled) told(samples);
  }

  #take(replayed: Replayed): void {
    const jumped = replayed.jump !== (this.said?.jump ?? 0);
    // A jump that this page has seen: what comes late is of before it.
    if (this.said && replayed.jump < this.said.jump) return;
    const runs = replayed.state === ReplayState.PLAYING;
    const speed = runs && !replayed.fastest ? replayed.speed : 0;
    this.#head.hear(ms(replayed.recordedAtUs), speed, jumped, performance.now());
    this.recording = { from: ms(replayed.startsAtUs), to: ms(replayed.endsAtUs) };
    this.said = replayed;
    if (jumped) {
      this.jump = replayed.jump;
      this.#picture = new Picture();
      this.steps = [];
    }
    this.#tick();
  }

  #tick(): void {
    this.now = Math.floor(this.serverNow() / 1000) * 1000;
    this.silent = performance.now() - this.#heardAt > SILENT_AFTER_MS;
  }
}
