// Where the reader is: the board, a patient, the recordings, or one of them that
// plays. In the address after the `#`, so that a reload and a second screen show
// the same; ids there say nothing about who the patient is.

export type Place =
  | { readonly at: "board" }
  | { readonly at: "recordings" }
  | { readonly at: "patient"; readonly transfer: string }
  | { readonly at: "replay"; readonly transfer: string; readonly from: number | null };

function read(): Place {
  const match = /^#\/(patient|replay)\/([^/]+)(?:\/(\d+))?$/.exec(location.hash);
  try {
    const transfer = decodeURIComponent(match?.[2] ?? "");
    if (match?.[1] === "patient") return { at: "patient", transfer };
    if (match?.[1] === "replay") return { at: "replay", transfer, from: match[3] ? Number(match[3]) : null };
  } catch {
    return { at: "board" };
  }
  return { at: location.hash === RECORDINGS ? "recordings" : "board" };
}

export const RECORDINGS = "#/recordings";

class Route {
  place: Place = $state.raw(read());

  constructor() {
    addEventListener("hashchange", () => (this.place = read()));
  }

  board(): void {
    location.hash = "#/";
  }

  recordings(): void {
    location.hash = RECORDINGS;
  }

  patient(transfer: string): void {
    location.hash = patientAt(transfer);
  }

  /** Plays what is recorded, from a moment in milliseconds. */
  replay(transfer: string, from: number | null): void {
    location.hash = replayAt(transfer, from);
  }
}

export function patientAt(transfer: string): string {
  return `#/patient/${encodeURIComponent(transfer)}`;
}

export function replayAt(transfer: string, from: number | null): string {
  return `#/replay/${encodeURIComponent(transfer)}${from === null ? "" : `/${Math.round(from)}`}`;
}

export const route = new Route();
