import { describe, expect, test } from "vitest";
import { Connection, SILENT_AFTER_MS } from "./connection";

const TOKEN = new Uint8Array([7]);
const attempts = (effects: readonly { kind: string; attempt: number }[]): string[] => effects.map((one) => `${one.kind} ${one.attempt}`);

describe("connection", () => {
  test("is live while the server speaks, and not when it is silent for over three seconds", () => {
    const connection = new Connection();
    expect(attempts(connection.watch({ patient: null, role: 2 }, 0))).toEqual(["open 1"]);
    expect(connection.isLive(0)).toBe(false);
    connection.heard(1, 1_000_000, TOKEN, 100);
    expect(connection.isLive(100 + SILENT_AFTER_MS)).toBe(true);
    expect(connection.isLive(101 + SILENT_AFTER_MS)).toBe(false);
    expect(connection.serverNow(600)).toBe(1_000_500);
  });

  test("resumes with the last token, at growing intervals, and counts it", () => {
    const connection = new Connection();
    connection.watch({ patient: "tx", role: 2 }, 0);
    connection.heard(1, 5, TOKEN, 0);
    connection.ended(1, "gone", 10);
    expect(connection.reason).toBe("gone");
    expect(connection.isLive(10)).toBe(false);
    expect(connection.tick(200)).toEqual([]);
    const [open] = connection.tick(260);
    expect(open).toMatchObject({ kind: "open", attempt: 2, token: TOKEN, filter: { patient: "tx", role: 2 } });
    connection.ended(2, "refused", 261);
    expect(connection.tick(600)).toEqual([]);
    expect(attempts(connection.tick(761))).toEqual(["open 3"]);
    connection.heard(3, 6, TOKEN, 800);
    expect([connection.reopened, connection.reason]).toEqual([1, ""]);
  });

  test("gives up a stream that hangs, and an attempt that is not answered", () => {
    const connection = new Connection();
    connection.watch({ patient: null, role: 2 }, 0);
    expect(attempts(connection.tick(8_001))).toEqual(["close 1"]);
    connection.tick(8_500);
    connection.heard(2, 5, TOKEN, 9_000);
    expect(connection.tick(16_000)).toEqual([]);
    expect(attempts(connection.tick(17_100))).toEqual(["close 2"]);
  });

  test("what an earlier stream still says is not taken", () => {
    const connection = new Connection();
    connection.watch({ patient: null, role: 2 }, 0);
    connection.heard(1, 5, TOKEN, 0);
    const effects = connection.watch({ patient: "tx", role: 2 }, 10);
    expect(attempts(effects)).toEqual(["close 1", "open 2"]);
    expect(effects[1]).toMatchObject({ token: new Uint8Array() });
    expect(connection.heard(1, 6, TOKEN, 20)).toBe(false);
    expect(connection.ended(1, "aborted", 20)).toEqual([]);
    expect(connection.heard(2, 6, TOKEN, 20)).toBe(true);
  });

  test("after a sleep what is shown is of before, even if the clock stood still", () => {
    const connection = new Connection();
    connection.watch({ patient: null, role: 2 }, 0);
    connection.heard(1, 5, TOKEN, 0);
    expect(attempts(connection.slept(10))).toEqual(["close 1", "open 2"]);
    expect(connection.isLive(10)).toBe(false);
    expect(connection.silence(10)).toBeGreaterThan(SILENT_AFTER_MS);
  });

  test("a network that changed is tried at once, unless the stream lives", () => {
    const connection = new Connection();
    connection.watch({ patient: null, role: 2 }, 0);
    connection.heard(1, 5, TOKEN, 0);
    expect(connection.wake(100)).toEqual([]);
    connection.ended(1, "gone", 200);
    expect(attempts(connection.wake(201))).toEqual(["open 2"]);
  });

  test("another role is another stream", () => {
    const connection = new Connection();
    connection.watch({ patient: null, role: 2 }, 0);
    expect(attempts(connection.watch({ patient: null, role: 2 }, 5))).toEqual([]);
    expect(attempts(connection.watch({ patient: null, role: 1 }, 9))).toEqual(["close 1", "open 2"]);
  });
});
