// A vehicle by hand: frames over MQTT, live each second and late ones when told. It
// is no exercise, so alerts of it are passed on; no simulated patient is that.
import { connect } from "node:net";
import { root, proto } from "./protos.mjs";

const { toBinary, create, BatchSchema, FrameSchema, Stream } = await proto("frame");
const { default: tables } = await root("/gen/catalogue.json");
const CODE = new Map(tables.vitals.map(({ id, code }) => [id, code]));
const EPOCH = 77n;
const EVERY_MS = 1_000;

const text = (word) => {
  const bytes = Buffer.from(word);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};

/** A control packet of MQTT 5: type, then its length in groups of seven bits. */
function packet(type, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  for (let left = body.length; ; left >>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

export class Vehicle {
  /** What is measured, by the catalogue's ids. */
  values = { hr: 80, spo2: 97, abp_sys: 120, abp_dia: 70 };
  #socket;
  #gateway;
  #transfer;
  #sequence = 0;
  #packets = 0;
  #timer = null;
  #began = process.hrtime.bigint();

  /** Resolves when the broker has let it in. */
  static async start(broker, gateway, transfer) {
    const vehicle = new Vehicle();
    [vehicle.#gateway, vehicle.#transfer] = [gateway, transfer];
    const { hostname, port } = new URL(broker);
    vehicle.#socket = connect(Number(port), hostname);
    vehicle.#socket.on("error", (error) => console.error(`vehicle ${gateway}: ${error.message}`));
    // Protocol 5, a clean start, no keep-alive, no properties.
    vehicle.#socket.write(packet(0x10, text("MQTT"), Buffer.from([5, 2, 0, 0, 0]), text(gateway)));
    await new Promise((done) => vehicle.#socket.once("data", done));
    vehicle.go();
    return vehicle;
  }

  /** Sends what is measured each second. */
  go() {
    this.#live();
    this.#timer = setInterval(() => this.#live(), EVERY_MS);
  }

  /** Says nothing more, as in a tunnel. */
  pause() {
    clearInterval(this.#timer);
  }

  stop() {
    this.pause();
    this.#socket?.destroy();
  }

  /** Out of the tunnel: first what is measured now, then, by history, what was
   * measured in the last seconds before it, one of these each second. */
  resume(late) {
    const now = this.#now();
    const first = this.#sequence + 1;
    this.#sequence += late.length;
    this.go();
    const frames = late.map((values, at) => this.#frame(values, first + at, now - BigInt(late.length - at) * 1_000_000n));
    this.#publish("history", frames);
  }

  #now() {
    return (process.hrtime.bigint() - this.#began) / 1_000n;
  }

  #live() {
    this.#sequence += 1;
    this.#publish("live", [this.#frame(this.values, this.#sequence, this.#now())]);
  }

  #frame(values, sequence, monotonicUs) {
    const ago = this.#now() - monotonicUs;
    const header = {
      epoch: EPOCH,
      stream: Stream.NUMERICS,
      sequence: BigInt(sequence),
      legFirst: 1n,
      capturedAtUs: BigInt(Date.now()) * 1_000n - ago,
      boot: 1,
      monotonicUs,
    };
    const ids = Object.keys(values);
    const numerics = { code: ids.map((id) => CODE.get(id)), value: ids.map((id) => BigInt(values[id])) };
    return toBinary(FrameSchema, create(FrameSchema, { header, body: { case: "numerics", value: numerics } }));
  }

  #publish(lane, frame) {
    const batch = toBinary(BatchSchema, create(BatchSchema, { frame, sentAtUs: BigInt(Date.now()) * 1_000n }));
    this.#packets = (this.#packets % 65_535) + 1;
    const id = Buffer.from([this.#packets >> 8, this.#packets & 255, 0]);
    const topic = `enroute/v1/gw/${this.#gateway}/tx/${this.#transfer}/${lane}`;
    this.#socket.write(packet(0x32, text(topic), id, Buffer.from(batch)));
  }
}
