// A real server and a simulated fleet as child processes, and a browser. What is
// waited for is a line, a port or an element, never a time.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A guard against hanging, and no measure: machines are slow at times. */
export const HANG_MS = Number(process.env.ENROUTE_HANG_MS ?? 120_000);

const CHROMIUM = process.env.ENROUTE_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export class Stack {
  #binary;
  #page;
  #dir = mkdtempSync(join(tmpdir(), "enroute-console-"));
  #running = new Set();

  constructor(binary) {
    this.#binary = binary;
  }

  /** Writes the configuration, with `more` at its end; `rules` changes a file of the
   * built-in rule book. */
  async prepare(rules, more = "") {
    const [http, mqtt] = [await freePort(), await freePort()];
    this.url = `http://127.0.0.1:${http}`;
    this.broker = `mqtt://127.0.0.1:${mqtt}`;
    const data = join(this.#dir, "data");
    mkdirSync(data);
    let config = `data = ${JSON.stringify(data)}\nlisten = "127.0.0.1:${http}"\n[broker]\nkind = "embedded"\nlisten = "127.0.0.1:${mqtt}"\n`;
    if (rules) config += `[rules]\ndir = ${JSON.stringify(this.#book(rules))}\n`;
    writeFileSync(join(this.#dir, "server.toml"), config + more);
  }

  #book({ file, from, to }) {
    const dir = join(this.#dir, "rules");
    execFileSync(this.#binary, ["rules", "export", dir]);
    const path = join(dir, file);
    const before = readFileSync(path, "utf8");
    const after = before.replace(from, to);
    assert.notEqual(after, before, `${from} is not in ${file}`);
    writeFileSync(path, after);
    return dir;
  }

  /** Starts the server and waits for its word that it is ready. */
  async serve() {
    const child = this.#spawn(["serve", "--config", join(this.#dir, "server.toml")]);
    await this.#line(child, (line) => line === "ready");
    return child;
  }

  /** A box on board with a patient of its own, and the crew's page at `crew`. */
  async gateway(speed = 1) {
    const port = (this.#page ??= await freePort());
    const { hostname, port: mqtt } = new URL(this.broker);
    const config = `[gateway]
id = "gw-e2e"
speed = ${speed}
[gateway.broker]
host = "${hostname}"
port = ${mqtt}
[gateway.spool]
dir = ${JSON.stringify(join(this.#dir, "spool"))}
[gateway.page]
listen = "127.0.0.1:${port}"
[source.simulator]
seed = 11
minutes = 240
`;
    writeFileSync(join(this.#dir, "gateway.toml"), config);
    const child = this.#spawn(["gateway", "--config", join(this.#dir, "gateway.toml")]);
    await this.#line(child, (line) => line.startsWith("the crew's page is at"));
    this.crew = `http://127.0.0.1:${port}`;
    return child;
  }

  /** A simulated fleet, of which the server is told what people know. */
  simulate(transfers, seed) {
    return this.#spawn(["simulate", "--broker", this.broker, "--server", this.url, "--transfers", String(transfers), "--seed", String(seed)]);
  }

  #spawn(args) {
    const child = spawn(this.#binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.words = [];
    for (const pipe of [child.stdout, child.stderr]) {
      createInterface({ input: pipe }).on("line", (line) => {
        child.words.push(line);
        child.emit("word", line);
      });
    }
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    return child;
  }

  #line(child, wanted) {
    return new Promise((done, fail) => {
      const said = () => fail(new Error(`no such line from ${child.spawnargs.join(" ")}:\n${child.words.join("\n")}`));
      const guard = setTimeout(said, HANG_MS);
      const look = (line) => {
        if (!wanted(line)) return;
        clearTimeout(guard);
        done(line);
      };
      child.words.forEach(look);
      child.on("word", look);
      child.on("exit", said);
    });
  }

  stop() {
    for (const child of this.#running) {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
    }
  }
}

export async function browse() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}
