// What a card says of a transfer besides its values. Pure.
import type { LinkReport } from "../../gen/proto/enroute/v1/frame_pb";
import type { Source, TransferState } from "../../gen/proto/enroute/v1/live_pb";
import type { Leg } from "../../gen/proto/enroute/v1/transfers_pb";
import { minutes, clock, span, type Zone } from "../units/times";
import { ms } from "../values/values";
import { idOf } from "../catalogue/catalogue";
import { activeSources } from "../picture/picture";
import { text, isKey } from "../words/words";
import type { Language } from "../words/languages";

/** A position older than this is no ground for an arrival time. */
const POSITION_OLD_MS = 60_000;

export interface Link {
  readonly state: "up" | "weak" | "lost" | "none";
  /** In a word or two. */
  readonly short: string;
  readonly long: string;
}

export function link(state: TransferState, language: Language, nowMs: number): Link {
  const active = activeSources(state);
  const up = active.find((source) => source.linkUp);
  if (up) {
    const level = Math.min(up.report?.degradationLevel ?? 0, 3);
    const [short, long] = [`link.level.${level}`, `link.level.long.${level}`];
    if (level === 0 || !isKey(short) || !isKey(long)) {
      return { state: "up", short: text(language, "link.up"), long: text(language, "link.level.long.0") };
    }
    return { state: "weak", short: text(language, short), long: text(language, long) };
  }
  const lost = active[0];
  if (!lost) return { state: "none", short: text(language, "link.none"), long: text(language, "link.none") };
  const never = lost.lastHeardUs === undefined && lost.lostSinceUs === undefined;
  const words = never ? text(language, "link.never") : lostFor(lost, language, nowMs);
  return { state: "lost", short: words, long: words };
}

function lostFor(source: Source, language: Language, nowMs: number): string {
  const since = source.lastHeardUs ?? source.lostSinceUs;
  if (since === undefined) return text(language, "link.lost");
  return text(language, "link.lost.for", { age: span(nowMs - ms(since)) });
}

/** The share of the spool that is used, in percent; null: not known. */
export function spoolPercent(report: LinkReport): number | null {
  const max = Number(report.spoolBytesMax);
  return max > 0 ? Math.round((Number(report.spoolBytes) / max) * 100) : null;
}

/** The leg under way: as the server says, else the first. */
export function legNow(state: TransferState): Leg | null {
  const legs = state.info?.leg ?? [];
  return legs[state.travel?.leg ?? 0] ?? legs[0] ?? null;
}

export interface Eta {
  /** The time of arrival; empty when it is not known. */
  readonly at: string;
  readonly within: string;
  /** How old the position is that it rests on; or that it is the plan. */
  readonly ground: string;
  readonly old: boolean;
}

export function eta(state: TransferState, language: Language, zone: Zone, nowMs: number): Eta {
  const travel = state.travel;
  const heard = travel?.heardAtUs === undefined ? null : ms(travel.heardAtUs);
  const planned = state.info?.leg.at(-1)?.arrivesAtUs;
  const at = travel?.etaUs ?? planned;
  if (at === undefined) return { at: "", within: text(language, "eta.unknown"), ground: "", old: false };
  const arrives = ms(at);
  const from = travel?.etaUs !== undefined && heard !== null ? heard : null;
  const age = from === null ? 0 : nowMs - from;
  const old = age > POSITION_OLD_MS;
  const ground = from === null
    ? text(language, "eta.plan")
    : text(language, old ? "eta.stale" : "eta.age", { age: span(age) });
  return { at: clock(arrives, zone), within: within(arrives - nowMs, language), ground, old };
}

function within(left: number, language: Language): string {
  if (left < -60_000) return text(language, "eta.overdue", { span: inMinutes(-left, language) });
  if (left < 60_000) return text(language, "eta.now");
  return text(language, "eta.in", { span: inMinutes(left, language) });
}

/** A span to the minute: `1 h 12 min`. */
export function inMinutes(spanMs: number, language: Language): string {
  const { hours: h, minutes: m } = minutes(spanMs);
  return h > 0 ? text(language, "span.hours", { h, m }) : text(language, "span.minutes", { m });
}

export interface ScoreShown {
  /** `5`, or `5–9` while something is missing. */
  readonly points: string;
  readonly missing: number;
  readonly red: boolean;
}

/** The early warning score of the active source, with what is not certain. */
export function news2(state: TransferState): ScoreShown | null {
  for (const source of activeSources(state)) {
    const score = source.score.find((one) => idOf(one.code) === "news2");
    if (!score) continue;
    const points = score.high === score.low ? String(score.low) : `${score.low}–${score.high}`;
    return { points, missing: score.missing, red: score.singleRed };
  }
  return null;
}

/** Age band and weight in a few words. */
export function population(state: TransferState, language: Language): string {
  const bands = ["unknown", "neonate", "infant", "child", "adolescent", "adult"] as const;
  const known = state.info?.population;
  const band = text(language, `age.${bands[known?.ageBand ?? 0] ?? "unknown"}`);
  const grams = known?.weightG ?? 0;
  const weight = grams === 0 ? "" : ` ${text(language, "age.weight", { n: (grams / 1000).toFixed(1) })}`;
  return band + weight;
}

/** A condition of the registry in the reader's language, if there is a word. */
export function condition(word: string, language: Language): string {
  const key = `condition.${word}`;
  return isKey(key) ? text(language, key) : word.replaceAll("_", " ");
}
