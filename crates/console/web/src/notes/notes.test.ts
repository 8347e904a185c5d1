import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { TransferStateSchema } from "../../gen/proto/enroute/v1/live_pb";
import { thread, unread } from "./notes";

const by = (name: string, at: number) => ({ by: name, atUs: BigInt(at) * 1_000_000n });
const crew = (gateway: string, at: number, text: string, read = false) => ({
  gateway,
  capturedAtUs: BigInt(at) * 1_000_000n,
  event: { event: { case: "note" as const, value: text } },
  ...(read ? { read: by("Weber", at + 5) } : {}),
});

const state = create(TransferStateSchema, {
  crewLog: [crew("amb", 10, "tunnel", true), crew("amb", 30, "in"), crew("amb", 20, "out"), crew("jet", 25, "up"), { gateway: "jet", capturedAtUs: 1n, event: { event: { case: "end", value: {} } } }],
  noteToCrew: [
    { id: "a", from: by("Weber", 12), text: "warm" },
    { id: "b", from: by("Weber", 13), text: "slow", delivered: { gateway: "amb", atUs: 14_000_000n } },
    { id: "c", from: by("Weber", 15), text: "stop", delivered: { gateway: "amb", atUs: 16_000_000n }, read: { gateway: "amb", atUs: 17_000_000n } },
  ],
});

test("notes of both sides are one thread, with how far each has come", () => {
  expect(thread(state).map((note) => [note.text, note.fromCrew, note.way.is])).toEqual([
    ["in", true, "unread"],
    ["up", true, "unread"],
    ["out", true, "unread"],
    ["stop", false, "read"],
    ["slow", false, "delivered"],
    ["warm", false, "sent"],
    ["tunnel", true, "read"],
  ]);
});

test("of each crew the newest unread note stands for all before it", () => {
  expect(unread(state).map((one) => [one.gateway, Number(one.throughCapturedAtUs) / 1e6])).toEqual([
    ["amb", 30],
    ["jet", 25],
  ]);
});
