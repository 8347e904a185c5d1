// A journey as points on the globe. Pure.
import type { Position } from "../../gen/proto/enroute/v1/frame_pb";
import type { TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { Mode, type Place } from "../../gen/proto/enroute/v1/transfers_pb";

export type Point = [latitude: number, longitude: number];

export interface PlannedLeg {
  readonly from: Point;
  readonly to: Point;
  readonly air: boolean;
  readonly vehicle: string;
}

export interface Journey {
  /** Travelled, in pieces: a gap in the track is not bridged as if it were known. */
  readonly track: readonly Point[][];
  readonly planned: readonly PlannedLeg[];
  readonly places: readonly { readonly name: string; readonly at: Point; readonly last: boolean }[];
  readonly now: Point | null;
}

const E7 = 1e7;
/** Points of a track further apart than this were not travelled in sight. */
const JUMP_KM = 60;

export function pointOf(place: Position | Place | undefined): Point | null {
  if (!place || (place.latitudeE7 === 0 && place.longitudeE7 === 0)) return null;
  return [place.latitudeE7 / E7, place.longitudeE7 / E7];
}

export function journey(state: TransferState): Journey {
  const legs = state.info?.leg ?? [];
  const planned: PlannedLeg[] = [];
  const places = new Map<string, { name: string; at: Point; last: boolean }>();
  legs.forEach((leg, n) => {
    const [from, to] = [pointOf(leg.from), pointOf(leg.to)];
    if (from && to) planned.push({ from, to, air: leg.mode === Mode.AIR, vehicle: leg.vehicle });
    if (from && leg.from) places.set(String(from), { name: leg.from.name, at: from, last: false });
    if (to && leg.to) places.set(String(to), { name: leg.to.name, at: to, last: n === legs.length - 1 });
  });
  const track: Point[][] = [];
  for (const position of state.travel?.track ?? []) {
    const point = pointOf(position);
    if (!point) continue;
    const piece = track.at(-1);
    const before = piece?.at(-1);
    if (piece && before && kilometres(before, point) <= JUMP_KM) piece.push(point);
    else track.push([point]);
  }
  return { track, planned, places: [...places.values()], now: pointOf(state.travel?.position) };
}

/** Along the great circle, on a sphere. */
export function kilometres(a: Point, b: Point): number {
  const rad = Math.PI / 180;
  const [dLat, dLon] = [(b[0] - a[0]) * rad, (b[1] - a[1]) * rad];
  const h = Math.sin(dLat / 2) ** 2 + Math.cos(a[0] * rad) * Math.cos(b[0] * rad) * Math.sin(dLon / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.sqrt(h));
}

/** A route by air, bent as the great circle is. */
export function greatCircle(from: Point, to: Point, pieces = 32): Point[] {
  const rad = Math.PI / 180;
  const vector = ([lat, lon]: Point): [number, number, number] => [
    Math.cos(lat * rad) * Math.cos(lon * rad),
    Math.cos(lat * rad) * Math.sin(lon * rad),
    Math.sin(lat * rad),
  ];
  const [a, b] = [vector(from), vector(to)];
  const angle = Math.acos(Math.min(1, Math.max(-1, a[0] * b[0] + a[1] * b[1] + a[2] * b[2])));
  if (angle < 1e-9) return [from, to];
  return Array.from({ length: pieces + 1 }, (_, n) => {
    const part = n / pieces;
    const [p, q] = [Math.sin((1 - part) * angle) / Math.sin(angle), Math.sin(part * angle) / Math.sin(angle)];
    const [x, y, z] = [p * a[0] + q * b[0], p * a[1] + q * b[1], p * a[2] + q * b[2]];
    return [Math.asin(z) / rad, Math.atan2(y, x) / rad];
  });
}

/** Radii of the rings around the goal, kilometres: a few that fit the journey. */
export function rings(spanKm: number): number[] {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
  return steps.filter((step) => step <= spanKm * 1.05 && step >= spanKm / 12).slice(-3);
}
