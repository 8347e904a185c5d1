// Alerts as marks on the course. Pure.
import type { Alert } from "../../gen/proto/enroute/v1/live_pb";
import { level, type Level } from "../alerts/alerts";
import { ms } from "../values/values";

export interface AlertMark {
  readonly atMs: number;
  readonly level: Level;
  /** Found in history that came late: nobody was called. */
  readonly late: boolean;
}

/** One mark for each alert, of whatever the last says of it that is told twice. */
export function marksOf(alerts: readonly Alert[]): AlertMark[] {
  const known = new Map<string, AlertMark>();
  for (const alert of alerts) {
    // Alerts of joined transfers count from one each: the moment tells them apart.
    const mark = { atMs: ms(alert.sinceUs), level: level(alert.priority), late: alert.retrospective };
    known.set(`${alert.alertId} ${alert.sinceUs}`, mark);
  }
  return [...known.values()].sort((a, b) => a.atMs - b.atMs);
}
