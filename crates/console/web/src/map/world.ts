// Outlines of the countries, from Natural Earth at 1:110 million: enough to see
// where a journey lies, without any server of maps.
import type { Feature, FeatureCollection, Geometry } from "geojson";
import { feature } from "topojson-client";
import type { Topology } from "topojson-specification";
import atlas from "world-atlas/countries-110m.json";

export function countries(): FeatureCollection<Geometry> {
  const topology = atlas as unknown as Topology;
  const found = feature(topology, topology.objects["countries"] as never) as unknown as Feature | FeatureCollection;
  return found.type === "FeatureCollection" ? found : { type: "FeatureCollection", features: [found] };
}
