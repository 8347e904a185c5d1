import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { TransferStateSchema } from "../../gen/proto/enroute/v1/live_pb";
import { Mode } from "../../gen/proto/enroute/v1/transfers_pb";
import { greatCircle, journey, kilometres, rings, type Point } from "./journey";
import { countries } from "./world";

const GENEVA: Point = [46.2, 6.15];
const BEIJING: Point = [39.9, 116.4];
const place = ([lat, lon]: Point, name: string) => ({ name, latitudeE7: Math.round(lat * 1e7), longitudeE7: Math.round(lon * 1e7) });

test("a journey has its places, its legs, and a track that does not bridge what was not seen", () => {
  const state = create(TransferStateSchema, {
    info: { leg: [{ vehicle: "Jet", mode: Mode.AIR, from: place(GENEVA, "Geneva"), to: place(BEIJING, "Beijing") }] },
    travel: { position: place(GENEVA, ""), track: [place([46.2, 6.1], ""), place([46.3, 6.2], ""), place([50, 30], ""), place([0, 0], "")] },
  });
  const { places, planned, track, now } = journey(state);
  expect(places.map(({ name, last }) => [name, last])).toEqual([["Geneva", false], ["Beijing", true]]);
  expect(planned[0]).toMatchObject({ air: true });
  expect(track.map((piece) => piece.length)).toEqual([2, 1]);
  expect(now).toEqual(GENEVA);
});

test("distances and great circles", () => {
  expect(kilometres(GENEVA, BEIJING)).toBeGreaterThan(8_000);
  expect(kilometres(GENEVA, BEIJING)).toBeLessThan(8_500);
  const way = greatCircle(GENEVA, BEIJING);
  // It bends to the north.
  expect(Math.max(...way.map(([lat]) => lat))).toBeGreaterThan(55);
  expect(way[0]?.[1]).toBeCloseTo(6.15);
  expect(rings(20)).toEqual([5, 10, 20]);
});

test("the outlines of the countries are in the page", () => {
  expect(countries().features.length).toBeGreaterThan(150);
});
