// Transfers that are open to this page by a broken glass. I/O.
import { ConnectError, createClient, type Client } from "@connectrpc/connect";
import { Access, type Glass } from "../../gen/proto/enroute/v1/access_pb";
import { unbar } from "../identity/identity";
import { store } from "../picture/store.svelte";
import { transport } from "../stream/follow";
import { ms } from "../values/values";

const access: Client<typeof Access> = createClient(Access, transport);

/** As the server wants a reason. */
export const REASON_CHARS_MIN = 10;
export const REASON_CHARS_MAX = 200;

class Broken {
  /** Those of whoever is logged in here, as the server last said. */
  own: readonly Glass[] = $state.raw([]);

  /** By which this transfer is open, if it is. */
  of(transfer: string): Glass | null {
    return this.own.find((one) => one.transfer === transfer && ms(one.untilUs) > store.now) ?? null;
  }

  /** What was open before this page was loaded. */
  async ask(): Promise<void> {
    try {
      this.own = (await access.listGlasses({})).glass.filter((one) => one.own);
    } catch {
      // Then no band says so; the server keeps its record all the same.
    }
  }

  /** Opens a transfer by its id or its short code. */
  async break(transfer: string, reason: string): Promise<{ readonly transfer: string } | { readonly refused: string }> {
    try {
      const { glass } = await access.breakGlass({ transfer, reason });
      if (!glass) return { refused: "" };
      this.own = [...this.own.filter((one) => one.transfer !== glass.transfer), glass];
      unbar();
      store.admit();
      return { transfer: glass.transfer };
    } catch (error) {
      return { refused: ConnectError.from(error).rawMessage };
    }
  }

  async end(transfer: string): Promise<void> {
    try {
      await access.endGlass({ transfer });
    } catch {
      // It was over already, or ends with its time.
    }
    await this.ask();
  }
}

export const broken = new Broken();
