// The notes of crew and hospital as one thread. Pure.
import type { CrewEntry, NoteToCrew, TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { ms } from "../values/values";

/** How far a note has come. */
export type Way =
  | { readonly is: "sent" }
  | { readonly is: "delivered"; readonly atMs: number }
  | { readonly is: "read"; readonly by: string; readonly atMs: number }
  | { readonly is: "unread" };

export interface Note {
  readonly key: string;
  readonly fromCrew: boolean;
  readonly by: string;
  readonly atMs: number;
  readonly text: string;
  readonly way: Way;
}

function crewNote(entry: CrewEntry): Note | null {
  const event = entry.event?.event;
  if (event?.case !== "note") return null;
  const way: Way = entry.read ? { is: "read", by: entry.read.by, atMs: ms(entry.read.atUs) } : { is: "unread" };
  const key = `${entry.gateway} ${entry.capturedAtUs} ${event.value}`;
  return { key, fromCrew: true, by: entry.gateway, atMs: ms(entry.capturedAtUs), text: event.value, way };
}

function ourNote(note: NoteToCrew): Note {
  const way: Way = note.read
    ? { is: "read", by: note.read.gateway, atMs: ms(note.read.atUs) }
    : note.delivered
      ? { is: "delivered", atMs: ms(note.delivered.atUs) }
      : { is: "sent" };
  return { key: note.id, fromCrew: false, by: note.from?.by ?? "", atMs: ms(note.from?.atUs ?? 0n), text: note.text, way };
}

/** Newest first. */
export function thread(state: TransferState): Note[] {
  const notes = [...state.crewLog.map(crewNote).filter((note) => note !== null), ...state.noteToCrew.map(ourNote)];
  return notes.sort((a, b) => b.atMs - a.atMs);
}

/** Of each crew the newest note that nobody here has read, for the word that all
 * up to it have been read now. */
export function unread(state: TransferState): { readonly gateway: string; readonly throughCapturedAtUs: bigint; readonly text: string }[] {
  const newest = new Map<string, { gateway: string; throughCapturedAtUs: bigint; text: string }>();
  for (const entry of state.crewLog) {
    const event = entry.event?.event;
    if (event?.case !== "note" || entry.read) continue;
    const known = newest.get(entry.gateway);
    if (known && known.throughCapturedAtUs >= entry.capturedAtUs) continue;
    newest.set(entry.gateway, { gateway: entry.gateway, throughCapturedAtUs: entry.capturedAtUs, text: event.value });
  }
  return [...newest.values()];
}
