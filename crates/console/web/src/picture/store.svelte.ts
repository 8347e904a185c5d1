// The picture as components see it. What arrives between two frames is drawn in
// the second one, so that a burst draws once; of the board's cards a few a frame,
// and only those in sight (`pace.ts`), so that a hundred of them never stop a frame.
import { SvelteMap } from "svelte/reactivity";
import type { AlertTransition, NotRecorded, Samples, TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { Follow } from "../stream/follow";
import { ms } from "../values/values";
import { trends } from "./trends.svelte";
import { Pace } from "./pace";
import { Picture, type Changes, type Notice } from "./picture";
import type { View } from "./view";

/** Of a board's cards so many are drawn in a frame: a full screen within a tenth of
 * a second, and no frame is late for it. */
const CARDS_A_FRAME = 4;
/** Steps of alerts kept for display. */
const STEPS_MAX = 500;

/** What a card shows: a state, and the moment for which its ages hold. */
export interface Face {
  readonly state: TransferState;
  readonly now: number;
}

/** One transfer; `state` is another object after each change. */
export class Entry {
  state: TransferState = $state.raw() as TransferState;
  /** What its card shows: it follows `state` while the card is in sight. */
  face: Face = $state.raw() as Face;
  /** When this page saw it first, unless it was in the first picture. */
  readonly newSince: number | null;

  constructor(state: TransferState, now: number, newSince: number | null) {
    this.state = state;
    this.face = { state, now };
    this.newSince = newSince;
  }
}

export type Listener<T> = (what: T) => void;

class Store implements View {
  readonly entries = new SvelteMap<string, Entry>();
  /** All of them; another list when anything but a value changed. */
  all: readonly TransferState[] = $state.raw([]);
  /** Server's clock in milliseconds, moving once a second. */
  now = $state(0);
  /** Milliseconds since the server's last word. */
  silence = $state(Number.POSITIVE_INFINITY);
  live = $state(false);
  begun = $state(false);
  reason = $state("");
  reopened = $state(0);
  missed = $state("");
  conflated = $state(0);
  notRecorded: NotRecorded | null = $state.raw(null);
  /** The patient whom the server does not show to this page; the board goes on. */
  denied: string | null = $state(null);

  readonly recording = null;
  readonly jump = 0;
  readonly picture = new Picture();
  readonly steps: AlertTransition[] = [];
  readonly #follow: Follow;
  readonly #noticed = new Set<Listener<Notice>>();
  readonly #sampled = new Set<Listener<Samples>>();
  readonly #changed = new Set<string>();
  readonly #pace = new Pace();
  #members = false;
  #listed = false;
  #frame: number | null = null;

  constructor() {
    this.#follow = new Follow(
      (response) => this.#take(this.picture.apply(response)),
      () => this.#tick(),
      (patient) => (this.denied = patient),
    );
  }

  start(): void {
    this.#follow.start();
  }

  watch(patient: string | null, role: number): void {
    this.#follow.watch({ patient, role });
  }

  /** What was denied may be asked for again. */
  admit(): void {
    this.denied = null;
  }

  /** The server's clock right now, for what moves faster than once a second. */
  serverNow(): number {
    return this.#follow.connection.serverNow(this.#follow.now());
  }

  clock(): number {
    return this.#follow.now();
  }

  state(name: string): TransferState | null {
    // Asked first, so that whoever asks is told of new transfers.
    const members = this.entries.size;
    return this.entries.get(name)?.state ?? (members > 0 ? this.picture.find(name) : null);
  }

  onNotice(listener: Listener<Notice>): () => void {
    this.#noticed.add(listener);
    return () => this.#noticed.delete(listener);
  }

  onSamples(listener: Listener<Samples>): () => void {
    this.#sampled.add(listener);
    return () => this.#sampled.delete(listener);
  }

  #take(changes: Changes): void {
    for (const transfer of changes.transfers) this.#changed.add(transfer);
    this.#members ||= changes.members;
    this.#listed ||= changes.members || changes.listed;
    for (const step of changes.steps) this.#keep(step);
    // Sound and samples do not wait for the drawing.
    for (const samples of changes.samples) for (const told of this.#sampled) told(samples);
    for (const notice of changes.notices) for (const told of this.#noticed) told(notice);
    if (!this.begun) this.#draw();
    else if (this.#changed.size > 0 || this.#listed) this.#ask();
  }

  /** Whether a card could be seen. */
  sight(id: string, inSight: boolean): void {
    this.#pace.sight(id, inSight);
    this.#ask();
  }

  #ask(): void {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #keep(step: AlertTransition): void {
    const known = this.steps.some((one) => one.transfer === step.transfer && one.ordinal === step.ordinal);
    if (!known) this.steps.push(step);
    if (this.steps.length > STEPS_MAX) this.steps.splice(0, this.steps.length - STEPS_MAX);
  }

  #draw(): void {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const first = !this.begun;
    const now = Math.floor(this.serverNow() / 1000) * 1000;
    if (this.#members) {
      for (const id of this.entries.keys()) {
        if (this.picture.transfers.has(id)) continue;
        this.entries.delete(id);
        this.#pace.forget(id);
      }
      trends.keep(this.picture.transfers);
    }
    for (const id of this.#changed) {
      const state = this.picture.transfers.get(id);
      if (!state) continue;
      trends.all.take(state);
      const entry = this.entries.get(id);
      // The picture changes its objects in place: a shallow copy is a new one.
      if (entry) entry.state = { ...state };
      else this.entries.set(id, new Entry({ ...state }, now, first ? null : this.serverNow()));
      this.#pace.change(id);
    }
    if (this.#listed) this.all = [...this.picture.transfers.values()];
    this.#changed.clear();
    [this.#members, this.#listed] = [false, false];
    this.#cards(now);
    if (first) this.#status();
  }

  /** Some of the cards that are due; the others in the next frame. */
  #cards(now: number): void {
    for (const id of this.#pace.take(document.hidden ? this.entries.size : CARDS_A_FRAME)) {
      const entry = this.entries.get(id);
      if (entry) entry.face = { state: entry.state, now };
    }
    if (this.#pace.due) this.#ask();
  }

  #tick(): void {
    const before = this.now;
    this.#status();
    if (this.now !== before) this.#pace.age();
    // A hidden page has no frames: what waits is drawn now.
    if (document.hidden) this.#draw();
    else if (this.#pace.due) this.#ask();
  }

  #status(): void {
    const connection = this.#follow.connection;
    const now = this.#follow.now();
    this.silence = Math.floor(connection.silence(now) / 1000) * 1000;
    this.live = connection.isLive(now);
    this.begun = connection.begun;
    this.reason = connection.reason;
    this.reopened = connection.reopened;
    this.missed = this.picture.missed;
    this.conflated = this.picture.conflated;
    const held = this.picture.notRecorded;
    if (held?.sinceUs !== this.notRecorded?.sinceUs) this.notRecorded = held;
    this.now = Math.floor(connection.serverNow(now) / 1000) * 1000;
  }

  /** Since when the journal has not been kept, if so. */
  get notRecordedSince(): number | null {
    return this.notRecorded === null ? null : ms(this.notRecorded.sinceUs);
  }
}

export const store = new Store();
