// The plain pipeline that `enroute bench throughput` is held against: subscribe, decode,
// check twelve limits, append to a file, and sync it once for each batch of a few
// milliseconds. No order, no duplicates, no alerts, no viewers; and its client
// acknowledges before the sync, because it takes one message after the other. It is told
// `expect N` on standard input and says `done`.
import { open, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";
import readline from "node:readline";
import mqtt from "mqtt";
import protobuf from "protobufjs";

const COMMIT_MS = 3;
const protos = fileURLToPath(new URL("../../../../proto", import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_, target) => path.resolve(protos, target);
await root.load("enroute/v1/frame.proto");
const Batch = root.lookupType("enroute.v1.Batch");
const Frame = root.lookupType("enroute.v1.Frame");

const dir = await mkdtemp(path.join(tmpdir(), "enroute-bench-node-"));
const file = await open(path.join(dir, "log"), "w");
const limits = new Map();
const state = new Map();
let waiting = [];
let writing = false;
let seen = 0;
let wanted = 0;
let breaches = 0;

function check(topic, frame) {
  const { code = [], value = [] } = frame.numerics ?? {};
  const values = new Map();
  code.forEach((one, index) => {
    const [low, high] = limits.get(one) ?? [-1000, 1000];
    const now = Number(value[index] ?? 0);
    if (now < low || now > high) breaches += 1;
    values.set(one, now);
  });
  state.set(topic, values);
}

async function commit() {
  writing = true;
  while (waiting.length > 0) {
    const batch = waiting;
    waiting = [];
    await file.appendFile(Buffer.concat(batch));
    await file.datasync();
    seen += batch.length;
    if (wanted > 0 && seen >= wanted) {
      seen -= wanted;
      wanted = 0;
      console.log("done");
    }
  }
  writing = false;
}

const client = mqtt.connect(process.argv[2], {
  protocolVersion: 5,
  clientId: "enroute-bench-node",
  properties: { receiveMaximum: 128 },
});
client.on("message", (topic, payload) => {
  for (const bytes of Batch.decode(payload).frame) check(topic, Frame.decode(bytes));
  waiting.push(payload);
  if (!writing) {
    writing = true;
    setTimeout(commit, COMMIT_MS);
  }
});
client.on("connect", () =>
  client.subscribe("enroute/v1/gw/+/tx/+/live", { qos: 1 }, (error) => {
    if (error) throw error;
    console.log("ready");
  }),
);
for await (const line of readline.createInterface({ input: process.stdin })) {
  wanted = Number(line.split(" ")[1]);
}
client.end(true);
await file.close();
await rm(dir, { recursive: true });
