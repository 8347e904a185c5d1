// Moments and spans as text. Pure: `now` and the zone are arguments.

export type Zone = "here" | "utc";

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, seconds: boolean): Intl.DateTimeFormat {
  const key = `${zone} ${seconds}`;
  let known = formats.get(key);
  if (!known) {
    known = new Intl.DateTimeFormat("en-GB", {
      hour: "2-digit",
      minute: "2-digit",
      ...(seconds ? { second: "2-digit" } : {}),
      hourCycle: "h23",
      ...(zone === "utc" ? { timeZone: "UTC" } : {}),
    });
    formats.set(key, known);
  }
  return known;
}

/** The time of day, such as 14:05 or 14:05:09. */
export function clock(atMs: number, zone: Zone, seconds = false): string {
  return format(zone, seconds).format(atMs);
}

/** A span such as 9 s, 4:07 or 2:03:09 (hours from 60 minutes on). */
export function span(spanMs: number): string {
  const all = Math.max(0, Math.floor(spanMs / 1000));
  if (all < 60) return `${all} s`;
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Parts of a span that is only of interest to the minute. */
export function minutes(spanMs: number): { readonly hours: number; readonly minutes: number } {
  const all = Math.max(0, Math.round(spanMs / 60_000));
  return { hours: Math.floor(all / 60), minutes: all % 60 };
}
