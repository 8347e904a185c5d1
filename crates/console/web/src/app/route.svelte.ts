// Where the reader is: the board, or a patient. In the address after the `#`, so
// that a reload and a second screen show the same; ids there say nothing about
// who the patient is.

export type Place = { readonly at: "board" } | { readonly at: "patient"; readonly transfer: string };

function read(): Place {
  const match = /^#\/patient\/([^/]+)$/.exec(location.hash);
  try {
    return match?.[1] ? { at: "patient", transfer: decodeURIComponent(match[1]) } : { at: "board" };
  } catch {
    return { at: "board" };
  }
}

class Route {
  place: Place = $state.raw(read());

  constructor() {
    addEventListener("hashchange", () => (this.place = read()));
  }

  board(): void {
    location.hash = "#/";
  }

  patient(transfer: string): void {
    location.hash = patientAt(transfer);
  }
}

export function patientAt(transfer: string): string {
  return `#/patient/${encodeURIComponent(transfer)}`;
}

export const route = new Route();
