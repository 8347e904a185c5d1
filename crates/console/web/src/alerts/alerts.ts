// What an alert says, and how its priority is marked. Pure.
import { AlertKind, AlertPhase, type Alert } from "../../gen/proto/enroute/v1/live_pb";
import { Priority, Stream } from "../../gen/proto/enroute/v1/frame_pb";
import tables from "../../gen/catalogue.json";
import { idOf, quantity } from "../catalogue/catalogue";
import { convert, digits, limit, type Units } from "../units/units";
import { decimal, hasNumber, ms } from "../values/values";
import { text, isKey, type Key } from "../words/words";
import type { Language } from "../words/languages";

export type Level = "high" | "medium" | "low" | "none";

/** The word of a priority. */
export function level(priority: Priority): Level {
  switch (priority) {
    case Priority.HIGH:
      return "high";
    case Priority.MEDIUM:
      return "medium";
    case Priority.LOW:
      return "low";
    case Priority.UNSPECIFIED:
      return "none";
  }
}

/** The marks of IEC 60601-1-8, so that colour never stands alone. */
export const MARK: Readonly<Record<Level, string>> = { high: "!!!", medium: "!!", low: "!", none: "" };

/** What a person does about an alert. */
export type AlertDeed =
  | { readonly case: "acknowledge"; readonly value: Record<string, never> }
  | { readonly case: "pauseS"; readonly value: number }
  | { readonly case: "note"; readonly value: string };

/** Whether a person can see to it: a state of the server without a number ends by
 * itself, and nobody acknowledges it. */
export function isAttended(alert: Alert): boolean {
  return alert.alertId !== 0n;
}

/** How long it has been unattended, in words; null: it is not yet. */
export function escalated(alert: Alert): Key | null {
  if (alert.escalation === 0 || alert.acknowledged) return null;
  return alert.escalation === 1 ? "alert.escalated" : "alert.unattended";
}

/** The last value that there was, of an alert whose data stopped. */
export function lastValue(alert: Alert, units: Units): { readonly value: string; readonly atMs: number } | null {
  if (alert.value === undefined || alert.valueAtUs === undefined || !hasNumber(alert.state)) return null;
  const amount = convert(decimal(alert.value, alert.decimals), alert.decimals, quantity(alert.code)?.unit ?? "", units);
  return { value: `${digits(amount)} ${amount.unit}`.trim(), atMs: ms(alert.valueAtUs) };
}

/** What a quantity is called: by the catalogue of words, else by its source. */
export function nameOf(language: Language, code: number, label: string): string {
  const key = `v.${idOf(code)}`;
  if (isKey(key)) return text(language, key);
  return label || quantity(code)?.label || text(language, "v.code", { n: code });
}

export function streamWord(language: Language, stream: Stream): string {
  const words: Readonly<Record<Stream, Key>> = {
    [Stream.EVENTS]: "data.stream.events",
    [Stream.NUMERICS]: "data.stream.numerics",
    [Stream.WAVEFORMS]: "data.stream.waveforms",
    [Stream.UNSPECIFIED]: "data.stream.other",
  };
  return text(language, words[stream]);
}

/** The words of a condition of the rule book; its id where it has none. */
export function ruleWords(language: Language, rule: string): string {
  const known: Readonly<Record<string, Partial<Record<Language, string>>>> = tables.rules;
  return Object.hasOwn(known, rule) ? (known[rule]?.[language] ?? rule) : rule;
}

/** A condition by itself: of what, and what. */
export function ruleTitle(language: Language, rule: string): string {
  const metrics: Readonly<Record<string, string>> = tables.ruleMetrics;
  const key = Object.hasOwn(metrics, rule) ? `v.${metrics[rule]}` : "";
  const words = ruleWords(language, rule);
  return isKey(key) ? text(language, "alert.rule", { rule: words, what: text(language, key) }) : words;
}

/** What an alert says, without its time: `SpO₂ low 84 < 88 %`. */
export function sentence(language: Language, alert: Alert, units: Units): string {
  const what = nameOf(language, alert.code, alert.label);
  switch (alert.kind) {
    case AlertKind.LIMIT_LOW:
      return `${text(language, "alert.limit_low", { what })}${broke(alert, "<", units)}`;
    case AlertKind.LIMIT_HIGH:
      return `${text(language, "alert.limit_high", { what })}${broke(alert, ">", units)}`;
    case AlertKind.STALE:
      return text(language, "alert.stale", { what });
    case AlertKind.LINK_LOST:
      return text(language, "alert.link_lost");
    case AlertKind.CONFLICT:
      return text(language, "alert.conflict", { stream: streamWord(language, alert.stream) });
    case AlertKind.ENGINE_DEGRADED:
      return text(language, "alert.engine_degraded");
    case AlertKind.NOT_RECORDED:
      return text(language, "alert.not_recorded");
    case AlertKind.RULE:
      return `${text(language, "alert.rule", { rule: ruleWords(language, alert.rule), what })}${broke(alert, "·", units)}`;
    case AlertKind.SENSOR_OFF:
      return text(language, "alert.sensor_off", { what });
    case AlertKind.CLOCK_WRONG:
      return text(language, "alert.clock_wrong");
    case AlertKind.SPOOL_FILLING:
      return text(language, "alert.spool_filling");
    case AlertKind.BATTERY_LOW:
      return text(language, "alert.battery_low");
    case AlertKind.HISTORY_INCOMPLETE:
      return text(language, "alert.history_incomplete");
    case AlertKind.NOT_ATTENDED:
      return text(language, "alert.not_attended");
    default:
      return text(language, "alert.other");
  }
}

function broke(alert: Alert, sign: string, units: Units): string {
  const ucum = quantity(alert.code)?.unit ?? "";
  const parts: string[] = [];
  if (alert.value !== undefined && hasNumber(alert.state)) {
    const number = decimal(alert.value, alert.decimals);
    parts.push(digits(convert(number, alert.decimals, ucum, units)));
  }
  if (alert.limit !== undefined) parts.push(`${sign} ${limit(alert.limit, ucum, units)}`);
  if (parts.length > 0) parts.push(convert(0, 0, ucum, units).unit);
  return parts.length === 0 ? "" : ` ${parts.join(" ").trim()}`;
}

export function phaseKey(phase: AlertPhase): Key {
  switch (phase) {
    case AlertPhase.UNKNOWN:
      return "phase.unknown";
    case AlertPhase.LATCHED:
      return "phase.latched";
    case AlertPhase.ENDED:
      return "phase.ended";
    case AlertPhase.ACTIVE:
    case AlertPhase.UNSPECIFIED:
      return "phase.active";
  }
}
