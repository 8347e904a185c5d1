import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Priority, ReadingState } from "../../gen/proto/enroute/v1/frame_pb";
import { AlertKind, AlertPhase, TransferStateSchema, ValueSchema, WatchResponseSchema, type TransferState } from "../../gen/proto/enroute/v1/live_pb";
import { isAttended, sentence } from "../alerts/alerts";
import { calls, linkUp, Picture, topAlert } from "../picture/picture";
import { reading } from "../values/reading";
import { outside, shown, BOARD, trendOf } from "../values/values";
import { eta, link, news2 } from "./card";
import { matches } from "./filter";
import { neighbour } from "./neighbour";
import { byUrgency, held, moved } from "./order";

const UNITS = { pressure: "mmHg", temperature: "C" } as const;
const US = 1_000_000n;
const NOW = 1_700_000_000_000;
const us = (seconds: number): bigint => BigInt(NOW + seconds * 1_000) * 1_000n;

type Init = Parameters<typeof create<typeof TransferStateSchema>>[1];
const transfer = (id: string, init: Init = {}): TransferState => create(TransferStateSchema, { transfer: id, shortCode: "4K7Q2M", startedAtUs: us(-600), ...init });
const alert = (priority: Priority, physiological = true, since = 0) => ({ alertId: BigInt(since + 1000), kind: AlertKind.LIMIT_LOW, code: 150456, priority, physiological, phase: AlertPhase.ACTIVE, sinceUs: us(since), value: 84n, limit: 88 });
const response = (update: object) => create(WatchResponseSchema, { serverTimeUs: us(0), update: update as never });
const source = (values: object[] = [], init: object = {}) => ({ gateway: "gw", active: true, linkUp: true, lastHeardUs: us(0), value: values, ...init });

describe("order", () => {
  test("open, pinned, priority, physiological, older", () => {
    const states = [
      transfer("closed", { closed: true, alert: [alert(Priority.HIGH)] }),
      transfer("quiet"),
      transfer("technical", { alert: [alert(Priority.HIGH, false)] }),
      transfer("newer", { alert: [alert(Priority.HIGH, true, 5)] }),
      transfer("older", { alert: [alert(Priority.HIGH, true, 1)] }),
      transfer("medium", { alert: [alert(Priority.MEDIUM)] }),
      transfer("pinned"),
    ];
    expect(byUrgency(states, ["pinned"])).toEqual(["pinned", "older", "newer", "technical", "medium", "quiet", "closed"]);
  });

  test("under the hand cards stay, what is gone goes, what is new comes last", () => {
    expect(held(["a", "b", "c"], ["c", "d", "a"])).toEqual(["a", "c", "d"]);
    expect(moved(["a", "c", "d"], ["c", "d", "a"])).toBe(3);
    expect(moved(["a"], ["a"])).toBe(0);
  });

  test("arrow keys go to the card that lies there", () => {
    const box = (left: number, top: number) => ({ left, top, width: 10, height: 10 });
    const grid = [box(0, 0), box(20, 0), box(0, 20), box(20, 20)];
    expect([neighbour(grid, 0, "ArrowRight"), neighbour(grid, 0, "ArrowDown"), neighbour(grid, 3, "ArrowUp")]).toEqual([1, 2, 1]);
    expect([neighbour(grid, 0, "ArrowUp"), neighbour(grid, -1, "ArrowUp"), neighbour([], -1, "ArrowUp")]).toEqual([null, 0, null]);
  });
});

test("nobody is asked to acknowledge what has no number", () => {
  const [numbered, state] = transfer("a", { alert: [alert(Priority.HIGH), { ...alert(Priority.MEDIUM), alertId: 0n, kind: AlertKind.NOT_RECORDED }] }).alert;
  expect([numbered && isAttended(numbered), state && isAttended(state)]).toEqual([true, false]);
});

describe("filter", () => {
  const one = transfer("tx", { info: { hospital: "HUG Geneva", concern: "Septic shock" }, travel: { etaUs: us(1_200) }, source: [source([], { linkUp: false })] });
  const wish = (init: object) => ({ show: "all", search: "", hospital: "", ...init }) as const;
  test("finds all words, codes with or without their dash", () => {
    for (const search of ["septic", "4k7-q2m", "4K7Q", "hug shock"]) expect(matches(one, wish({ search }), [], NOW), search).toBe(true);
    expect(matches(one, wish({ search: "septic burns" }), [], NOW)).toBe(false);
    expect(matches(one, wish({ hospital: "Other" }), [], NOW)).toBe(false);
  });
  test("shows what was asked for", () => {
    const kinds = { link: true, soon: true, alert: false, pinned: false };
    for (const [show, expected] of Object.entries(kinds)) expect(matches(one, wish({ show }), [], NOW), show).toBe(expected);
    expect(matches(one, wish({ show: "pinned" }), ["tx"], NOW)).toBe(true);
  });
});

describe("picture", () => {
  test("values replace those of the same quantity and source only", () => {
    const picture = new Picture();
    picture.apply(response({ case: "snapshot", value: { transfer: [transfer("tx", { source: [source([{ code: 1, value: 1n }, { code: 2, value: 2n }])] })] } }));
    const changes = picture.apply(response({ case: "values", value: { transfer: "tx", gateway: "gw", value: [create(ValueSchema, { code: 2, value: 9n })] } }));
    expect([...changes.transfers]).toEqual(["tx"]);
    expect(picture.transfers.get("tx")?.source[0]?.value.map((value) => value.value)).toEqual([1n, 9n]);
  });

  test("the first picture is no news; arrivals, alerts and lost links after it are", () => {
    const picture = new Picture();
    const first = picture.apply(response({ case: "snapshot", value: { transfer: [transfer("a", { alert: [alert(Priority.HIGH)], source: [source()] })] } }));
    expect(first.notices).toEqual([]);
    const kinds = (update: object) => picture.apply(response(update)).notices.map((notice) => notice.kind);
    expect(kinds({ case: "transfer", value: transfer("b") })).toEqual(["arrival"]);
    expect(kinds({ case: "transfer", value: transfer("a", { alert: [alert(Priority.HIGH)], source: [source([], { linkUp: false })] }) })).toEqual(["link_lost"]);
    const step = { case: "alert", value: { transfer: "b", ordinal: 1n, atUs: us(1), alert: alert(Priority.MEDIUM, true, 1) } };
    expect(kinds(step)).toEqual(["alert"]);
    expect(kinds(step)).toEqual([]);
  });

  test("steps that a resumption makes up for do not undo the snapshot, nor ring", () => {
    const picture = new Picture();
    picture.apply(response({ case: "snapshot", value: { transfer: [transfer("a")] } }));
    const past = { transfer: "a", ordinal: 1n, atUs: us(-30), alert: alert(Priority.HIGH, true, -30) };
    const changes = picture.apply(response({ case: "alert", value: past }));
    expect([changes.notices, picture.transfers.get("a")?.alert, changes.steps.length]).toEqual([[], [], 1]);
  });

  test("an alert whose data stopped stands; one that is acknowledged or rests does not call", () => {
    const state = transfer("a", { alert: [{ ...alert(Priority.LOW), phase: AlertPhase.UNKNOWN }, { ...alert(Priority.HIGH, true, 1), phase: AlertPhase.LATCHED }] });
    expect(topAlert(state)?.priority).toBe(Priority.LOW);
    const calling = transfer("a", { alert: [alert(Priority.HIGH)] }).alert[0]!;
    expect(calls(calling, NOW)).toBe(true);
    expect(calls({ ...calling, pausedUntilUs: us(10) }, NOW)).toBe(false);
    expect(calls({ ...calling, pausedUntilUs: us(-10) }, NOW)).toBe(true);
    const seen = transfer("a", { alert: [{ ...alert(Priority.HIGH), acknowledged: { by: "x", atUs: 1n } }] }).alert[0]!;
    expect(calls(seen, NOW)).toBe(false);
  });

  test("a transfer that was joined to another is gone", () => {
    const picture = new Picture();
    picture.apply(response({ case: "snapshot", value: { transfer: [transfer("a"), transfer("b")] } }));
    const changes = picture.apply(response({ case: "transfer", value: transfer("a", { alias: ["b"] }) }));
    expect([changes.members, [...picture.transfers.keys()], picture.find("b")?.transfer, picture.find("4k7q2m")?.transfer]).toEqual([true, ["a"], "a", "a"]);
  });
});

describe("values", () => {
  const value = (init: object) => create(ValueSchema, { code: 150456, unit: "%", value: 84n, heardAtUs: us(-4), warnLow: 90, critLow: 85, ...init });
  test("outside its limits counts only for what may be current", () => {
    expect(outside(value({}))).toBe("crit");
    expect(outside(value({ value: 88n }))).toBe("warn");
    for (const init of [{ stale: true }, { implausible: true }, { state: ReadingState.QUESTIONABLE }, { state: ReadingState.SENSOR_OFF }, { value: 95n }]) {
      expect(outside(value(init)), Object.keys(init).join()).toBe("no");
    }
  });
  test("a reading without a number says why", () => {
    const off = reading(value({ state: ReadingState.SENSOR_OFF }), "en", UNITS);
    expect([off.digits, off.remark]).toEqual(["", "sensor off"]);
    expect(reading(value({ stale: true, slopePerMin: 9 }), "en", UNITS)).toMatchObject({ stale: true, trend: "unknown", outside: "no" });
    expect(reading(value({ measuredAtUs: us(-6) }), "en", UNITS).atMs).toBe(NOW - 6_000);
  });
  test("units are the reader's", () => {
    const pressure = create(ValueSchema, { code: 150037, unit: "mm[Hg]", value: 120n, warnLow: 90 });
    expect(reading(pressure, "en", { pressure: "kPa", temperature: "C" })).toMatchObject({ digits: "16.0", unit: "kPa", limits: "≥ 12" });
    const temperature = create(ValueSchema, { code: 150344, unit: "Cel", value: 370n, decimals: 1 });
    expect(reading(temperature, "en", { pressure: "mmHg", temperature: "F" })).toMatchObject({ digits: "98.6", unit: "°F" });
  });
  test("a trend is a twentieth in five minutes", () => {
    expect([trendOf(value({ slopePerMin: -2 })), trendOf(value({ slopePerMin: 0.1 })), trendOf(value({}))]).toEqual(["down", "steady", "unknown"]);
  });
  test("a value that is fresh stands before one that is old, and the active source before another", () => {
    const pressures = (stale: boolean) => transfer("a", { source: [source([{ code: 150037, value: 120n, stale }, { code: 150301, value: 110n }])] });
    const bp = BOARD[2]!;
    expect(shown(pressures(false), bp).lead?.value.value).toBe(120n);
    expect(shown(pressures(true), bp).lead?.value.value).toBe(110n);
    const two = transfer("a", { source: [source([{ code: 150456, value: 1n, heardAtUs: US * 9n }], { active: false }), source([{ code: 150456, value: 2n }], { gateway: "gw2" })] });
    expect(shown(two, BOARD[1]!).lead?.value.value).toBe(2n);
  });
});

describe("card", () => {
  test("a link says its level, or for how long it is lost", () => {
    expect(link(transfer("a", { source: [source([], { report: { degradationLevel: 2 } })] }), "en", NOW)).toMatchObject({ state: "weak", short: "fewer numbers live" });
    expect(link(transfer("a", { source: [source([], { linkUp: false, lastHeardUs: us(-90) })] }), "en", NOW)).toMatchObject({ state: "lost", short: "LINK LOST for 1:30" });
    expect([link(transfer("a"), "en", NOW).state, linkUp(transfer("a"))]).toEqual(["none", null]);
  });
  test("an arrival says what it rests on", () => {
    const known = transfer("a", { travel: { etaUs: us(23 * 60), heardAtUs: us(-4) } });
    expect(eta(known, "en", "utc", NOW)).toMatchObject({ within: "in 23 min", ground: "position 4 s ago", old: false });
    const old = transfer("a", { travel: { etaUs: us(-130), heardAtUs: us(-300) } });
    expect(eta(old, "en", "utc", NOW)).toMatchObject({ within: "due 2 min ago", old: true });
    expect(eta(transfer("a"), "en", "utc", NOW).at).toBe("");
  });
  test("a score says how far it could go", () => {
    const score = (low: number, high: number) => transfer("a", { source: [source([], { score: [{ code: 67108870, low, high, missing: high - low ? 1 : 0 }] })] });
    expect(news2(score(5, 8))).toMatchObject({ points: "5–8", missing: 1 });
    expect(news2(score(5, 5))?.points).toBe("5");
    expect(news2(transfer("a"))).toBeNull();
  });
  test("an alert says what broke which limit, in the reader's words and units", () => {
    const low = transfer("a", { alert: [alert(Priority.HIGH)] }).alert[0]!;
    expect(sentence("en", low, UNITS)).toBe("SpO₂ low 84 < 88 %");
    expect(sentence("zh", low, UNITS)).toBe("SpO₂ 过低 84 < 88 %");
  });
});
