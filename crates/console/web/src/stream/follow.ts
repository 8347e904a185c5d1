// The stream's I/O: opens, reads and closes as the connection says, on this
// browser's clock. gRPC-Web to the server that the page came from.
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Live, type WatchResponse } from "../../gen/proto/enroute/v1/live_pb";
import { ms } from "../values/values";
import { bearer, login, takeRefusal } from "../who/login.svelte";
import { Connection, type Effect, type Filter } from "./connection";

export const transport = createGrpcWebTransport({
  baseUrl: typeof location === "undefined" ? "" : location.origin,
  interceptors: [bearer],
});

export const live: Client<typeof Live> = createClient(Live, transport);

/** How often the connection is told the time. */
const TICK_MS = 250;
/** The wall clock ran this much ahead of the other one: the computer slept. */
const SLEPT_MS = 3_000;

export class Follow {
  readonly connection = new Connection();
  readonly #running = new Map<number, AbortController>();
  readonly #took: (response: WatchResponse) => void;
  readonly #ticked: () => void;
  readonly #denied: (patient: string) => void;
  #clocks = { steady: 0, wall: 0 };

  constructor(took: (response: WatchResponse) => void, ticked: () => void, denied: (patient: string) => void) {
    this.#took = took;
    this.#ticked = ticked;
    this.#denied = denied;
  }

  /** Follows until the page closes. */
  start(): void {
    this.#clocks = { steady: this.now(), wall: Date.now() };
    setInterval(() => this.#tick(), TICK_MS);
    login.renewed = () => this.#do(this.connection.renewed(this.now()));
    addEventListener("online", () => this.#do(this.connection.wake(this.now())));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#tick();
    });
    // A page that comes out of the back-forward cache has dead streams.
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.#do(this.connection.wake(this.now()));
    });
  }

  watch(filter: Filter): void {
    this.#do(this.connection.watch(filter, this.now()));
  }

  now(): number {
    return performance.now();
  }

  #tick(): void {
    const clocks = { steady: this.now(), wall: Date.now() };
    const ahead = clocks.wall - this.#clocks.wall - (clocks.steady - this.#clocks.steady);
    this.#clocks = clocks;
    // Where the steady clock stands still in sleep, the silence looks short.
    this.#do(ahead > SLEPT_MS ? this.connection.slept(clocks.steady) : this.connection.tick(clocks.steady));
    this.#ticked();
  }

  #do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "open") void this.#read(effect);
      else this.#running.get(effect.attempt)?.abort();
    }
  }

  async #read(open: Extract<Effect, { kind: "open" }>): Promise<void> {
    const abort = new AbortController();
    this.#running.set(open.attempt, abort);
    const patient = open.filter.patient;
    const asked = {
      transfer: patient === null ? [] : [patient],
      samples: patient !== null,
      waveforms: patient !== null,
      board: patient !== null,
      resumeToken: open.token,
      role: open.filter.role,
    };
    let reason = "the server ended the stream";
    const token = login.token;
    let heard = false;
    try {
      for await (const response of live.watch(asked, { signal: abort.signal })) {
        const now = this.now();
        if (!this.connection.heard(open.attempt, ms(response.serverTimeUs), response.resumeToken, now)) break;
        heard = true;
        this.#took(response);
      }
    } catch (error) {
      takeRefusal(token, error);
      const refusal = ConnectError.from(error);
      reason = refusal.rawMessage;
      // A stream that was let in ends for what changed, of this patient or of others: the
      // next one is let in or not.
      if (!heard && patient !== null && refusal.code === Code.PermissionDenied) this.#denied(patient);
    }
    this.#running.delete(open.attempt);
    abort.abort();
    this.#do(this.connection.ended(open.attempt, reason, this.now()));
    this.#ticked();
  }
}
