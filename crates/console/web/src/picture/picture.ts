// What the stream has built up: all transfers as they stand, and what happened
// that people should notice. Fed with responses; draws nothing. Pure.
import {
  AlertPhase,
  type Alert,
  type AlertTransition,
  type NotRecorded,
  type Samples,
  type Snapshot,
  type Source,
  type TransferState,
  type Values,
  type WatchResponse,
} from "../../gen/proto/enroute/v1/live_pb";
import { Priority } from "../../gen/proto/enroute/v1/frame_pb";
import { ms } from "../values/values";

/** A step this long before a snapshot is in it; a later one may not be: engine
 * time moves in ticks, and deadlines fire at their own time. */
const SAME_TIME_MS = 2_000;

/** As many finds of the past as the server keeps. */
const RETROSPECTIVE_MAX = 64;

/** Something to notice from across the room. */
export interface Notice {
  readonly kind: "arrival" | "alert" | "link_lost" | "link_back" | "closed";
  readonly transfer: string;
  readonly alert: Alert | null;
}

/** What a response changed. */
export interface Changes {
  /** Transfers to be drawn anew. */
  readonly transfers: Set<string>;
  /** The list of transfers is another one. */
  members: boolean;
  /** More than values changed: what a list of all of them shows or is sorted by. */
  listed: boolean;
  readonly notices: Notice[];
  readonly samples: Samples[];
  readonly steps: AlertTransition[];
}

export class Picture {
  readonly transfers = new Map<string, TransferState>();
  /** What the server said about a token that it could not honour. */
  missed = "";
  /** Samples and values that made room for newer ones on this stream. */
  conflated = 0;
  notRecorded: NotRecorded | null = null;
  #begun = false;
  #snapshotMs = 0;

  apply(response: WatchResponse): Changes {
    const changes: Changes = { transfers: new Set(), members: false, listed: false, notices: [], samples: [], steps: [] };
    this.notRecorded = response.notRecorded ?? null;
    const update = response.update;
    changes.listed = update.case === "snapshot" || update.case === "transfer" || update.case === "alert";
    switch (update.case) {
      case "snapshot":
        this.#snapshotMs = ms(response.serverTimeUs);
        this.#replace(update.value, changes);
        break;
      case "transfer":
        this.#put(update.value, changes);
        break;
      case "values":
        this.#values(update.value, changes);
        break;
      case "alert":
        this.#step(update.value, changes);
        break;
      case "samples":
        changes.samples.push(update.value);
        break;
      case "heartbeat":
        this.conflated = Number(update.value.conflated);
        break;
      case undefined:
        break;
    }
    return changes;
  }

  /** The transfer that goes by this id, alias or short code. */
  find(name: string): TransferState | null {
    const known = this.transfers.get(name);
    if (known) return known;
    for (const state of this.transfers.values()) {
      if (state.alias.includes(name) || state.shortCode === name.toUpperCase()) return state;
    }
    return null;
  }

  #replace(snapshot: Snapshot, changes: Changes): void {
    this.missed = snapshot.missed;
    const before = new Map(this.transfers);
    this.transfers.clear();
    for (const state of snapshot.transfer) {
      this.transfers.set(state.transfer, state);
      changes.transfers.add(state.transfer);
    }
    changes.members = true;
    // What the first picture holds is no news.
    if (this.#begun) {
      for (const state of snapshot.transfer) {
        notice(before.get(state.transfer) ?? null, state, changes.notices);
      }
    }
    this.#begun = true;
  }

  #put(state: TransferState, changes: Changes): void {
    for (const alias of state.alias) {
      if (this.transfers.delete(alias)) changes.members = true;
    }
    const before = this.transfers.get(state.transfer) ?? null;
    if (before === null || before.closed !== state.closed) changes.members = true;
    notice(before, state, changes.notices);
    this.transfers.set(state.transfer, state);
    changes.transfers.add(state.transfer);
  }

  #values(values: Values, changes: Changes): void {
    const state = this.transfers.get(values.transfer);
    const source = state?.source.find((one) => one.gateway === values.gateway);
    if (!source) return;
    for (const value of values.value) {
      const at = source.value.findIndex((one) => one.code === value.code && one.label === value.label);
      if (at < 0) source.value.push(value);
      else source.value[at] = value;
    }
    changes.transfers.add(values.transfer);
  }

  #step(step: AlertTransition, changes: Changes): void {
    changes.steps.push(step);
    const state = this.transfers.get(step.transfer);
    const alert = step.alert;
    if (!state || !alert) return;
    // Made up for after a resumption: the snapshot knows how it ended.
    if (ms(step.atUs) < this.#snapshotMs - SAME_TIME_MS) return;
    const before = state.alert.find((one) => one.alertId === alert.alertId) ?? null;
    state.alert = state.alert.filter((one) => one.alertId !== alert.alertId);
    if (alert.phase !== AlertPhase.ENDED) {
      state.alert.push(alert);
      state.alert.sort(byUrgency);
    }
    if (alert.retrospective && !state.retrospective.some((one) => one.alertId === alert.alertId)) {
      state.retrospective = [alert, ...state.retrospective].slice(0, RETROSPECTIVE_MAX);
    }
    if (raised(before, alert)) changes.notices.push({ kind: "alert", transfer: step.transfer, alert });
    changes.transfers.add(step.transfer);
  }
}

/** Highest priority first, physiological before technical, then the older. */
export function byUrgency(a: Alert, b: Alert): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.physiological !== b.physiological) return a.physiological ? -1 : 1;
  if (a.sinceUs !== b.sinceUs) return a.sinceUs < b.sinceUs ? -1 : 1;
  return a.alertId < b.alertId ? -1 : 1;
}

/** Present, or was present when the data stopped. */
export function stands(alert: Alert): boolean {
  return alert.phase === AlertPhase.ACTIVE || alert.phase === AlertPhase.UNKNOWN;
}

/** Whether its signals call: it stands, nobody has acknowledged it since it was
 * raised, and they do not rest. */
export function calls(alert: Alert, nowMs: number): boolean {
  const rests = alert.pausedUntilUs !== undefined && ms(alert.pausedUntilUs) > nowMs;
  return stands(alert) && alert.acknowledged === undefined && !rests;
}

/** The most urgent alert that stands; else one that is kept until seen. */
export function topAlert(state: TransferState): Alert | null {
  const order = [...state.alert].sort((a, b) => Number(stands(b)) - Number(stands(a)) || byUrgency(a, b));
  return order[0] ?? null;
}

/** The active sources, those that were heard last first. */
export function activeSources(state: TransferState): Source[] {
  const active = state.source.filter((source) => source.active);
  return active.sort((a, b) => Number((b.lastHeardUs ?? 0n) - (a.lastHeardUs ?? 0n)));
}

/** Whether any active source is heard; null: there is none. */
export function linkUp(state: TransferState): boolean | null {
  const active = state.source.filter((source) => source.active);
  return active.length === 0 ? null : active.some((source) => source.linkUp);
}

function raised(before: Alert | null, after: Alert): boolean {
  if (after.phase !== AlertPhase.ACTIVE || after.priority < Priority.MEDIUM) return false;
  return before === null || before.priority < after.priority || before.phase === AlertPhase.LATCHED;
}

function notice(before: TransferState | null, after: TransferState, notices: Notice[]): void {
  const transfer = after.transfer;
  if (after.closed) {
    if (before && !before.closed) notices.push({ kind: "closed", transfer, alert: null });
    return;
  }
  if (before === null) {
    notices.push({ kind: "arrival", transfer, alert: null });
  }
  const [was, is] = [before && linkUp(before), linkUp(after)];
  if (was === true && is === false) notices.push({ kind: "link_lost", transfer, alert: null });
  if (was === false && is === true) notices.push({ kind: "link_back", transfer, alert: null });
  for (const alert of after.alert) {
    const known = before?.alert.find((one) => one.alertId === alert.alertId) ?? null;
    if (raised(known, alert)) notices.push({ kind: "alert", transfer, alert });
  }
}
