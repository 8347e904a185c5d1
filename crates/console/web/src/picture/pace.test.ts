import { expect, test } from "vitest";
import { Pace } from "./pace";

function seen(...ids: string[]): Pace {
  const pace = new Pace();
  for (const id of ids) pace.sight(id, true);
  pace.take(100);
  return pace;
}

test("a frame draws a few cards, the next frame the others, each once", () => {
  const pace = seen("a", "b", "c");
  for (const id of ["a", "b", "c", "a"]) pace.change(id);
  expect(pace.take(2)).toEqual(["a", "b"]);
  expect(pace.due).toBe(true);
  expect(pace.take(2)).toEqual(["c"]);
  expect(pace.due).toBe(false);
  expect(pace.take(2)).toEqual([]);
});

test("what changed goes before what only grew older", () => {
  const pace = seen("a", "b", "c");
  pace.age();
  pace.change("c");
  expect(pace.take(2)).toEqual(["c", "a"]);
  expect(pace.take(2)).toEqual(["b"]);
});

test("a card out of sight costs nothing, and is drawn when it comes into sight", () => {
  const pace = seen("a", "b");
  pace.sight("b", false);
  pace.change("b");
  pace.age();
  expect(pace.take(9)).toEqual(["a"]);
  expect(pace.due).toBe(false);
  pace.sight("b", true);
  expect(pace.take(9)).toEqual(["b"]);
  pace.sight("b", false);
  pace.sight("b", true);
  expect(pace.take(9)).toEqual(["b"]);
});

test("one that is no more is not drawn", () => {
  const pace = seen("a");
  pace.change("a");
  pace.forget("a");
  expect(pace.due).toBe(false);
  expect(pace.take(9)).toEqual([]);
});
