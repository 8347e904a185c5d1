import { describe, expect, it } from "vitest";
import { Playhead } from "./playhead";
import { neighbour } from "./speeds";

describe("the playhead", () => {
  it("runs at the speed of the playback and stands while it is paused", () => {
    const head = new Playhead();
    head.hear(60_000, 10, false, 0);
    expect(head.at(500)).toBe(65_000);
    head.hear(65_100, 0, false, 510);
    expect(head.at(9_000)).toBe(65_100);
  });

  it("takes the network's jitter for jitter, and a jump for a jump", () => {
    const head = new Playhead();
    head.hear(0, 1, false, 0);
    head.hear(1_700, 1, false, 2_000);
    expect(head.at(2_000)).toBe(2_000);
    head.hear(1_700, 1, true, 2_000);
    expect(head.at(2_000)).toBe(1_700);
    head.hear(9_000, 1, false, 2_100);
    expect(head.at(2_100)).toBe(9_000);
  });
});

describe("speeds", () => {
  it("go up and down by one, and end", () => {
    expect(neighbour(1, 1)).toBe(2);
    expect(neighbour(1, -1)).toBe(0.5);
    expect(neighbour(0.1, -1)).toBe(0.1);
    expect(neighbour(10_000, 1)).toBe(10_000);
    expect(neighbour(7, -1)).toBe(5);
  });
});
