// Tells the server that an alert has been drawn where somebody could see it: the
// first report of each role becomes a record. Nothing waits for it.
import type { Alert } from "../../gen/proto/enroute/v1/live_pb";
import { settings } from "../settings/settings.svelte";
import { roleNumber } from "../who/name";
import { tell } from "../who/act";
import { stands } from "../picture/picture";

/** Reports that are remembered, so that each is made once. */
const REPORTED_MAX = 2_000;
/** Of the person, who may not have said a name. */
const SCREEN = "console";

export interface Drawn {
  readonly transfer: string;
  /** None: nothing to report. */
  readonly alert: Alert | null;
}

const reported = new Set<string>();
const drawn = new Map<Element, Drawn>();
const inSight = new Set<Element>();

const sight =
  typeof IntersectionObserver === "undefined"
    ? null
    : new IntersectionObserver((changes) => {
        for (const { target, isIntersecting } of changes) {
          if (isIntersecting) inSight.add(target);
          else inSight.delete(target);
          report(target);
        }
      });

function report(node: Element): void {
  const what = drawn.get(node);
  const alert = what?.alert;
  if (!what || !alert || !inSight.has(node) || document.hidden) return;
  // What is in no record has no number to report.
  if (!stands(alert) || alert.raisedOrdinal === 0n) return;
  const role = roleNumber(settings.role);
  if (alert.path?.shown.some((one) => one.role === role)) return;
  const key = `${what.transfer} ${alert.alertId} ${alert.raisedOrdinal} ${role}`;
  if (reported.has(key)) return;
  reported.add(key);
  if (reported.size > REPORTED_MAX) for (const oldest of reported) { reported.delete(oldest); break; }
  const deed = {
    case: "alert",
    value: { alertId: alert.alertId, seenOrdinal: alert.raisedOrdinal, action: { case: "shown", value: role } },
  } as const;
  // It may be over by now; a server that is away hears of it when it is drawn again.
  tell(what.transfer, deed, settings.name || SCREEN).catch(() => reported.delete(key));
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => {
    for (const node of inSight) report(node);
  });
}

/** On the element that shows the alert. */
export function shown(node: Element, what: Drawn): { update: (what: Drawn) => void; destroy: () => void } {
  drawn.set(node, what);
  sight?.observe(node);
  return {
    update(next) {
      drawn.set(node, next);
      report(node);
    },
    destroy() {
      sight?.unobserve(node);
      drawn.delete(node);
      inSight.delete(node);
    },
  };
}
