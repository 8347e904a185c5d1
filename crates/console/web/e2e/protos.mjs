// The page's generated types, and a client that speaks as the page does.
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

const web = fileURLToPath(new URL("..", import.meta.url));
const loader = await createServer({ root: web, configFile: false, logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });

/** A module of the page's sources. */
export const root = (path) => loader.ssrLoadModule(path);

/** The types of one file of the contract. */
export async function proto(name) {
  return { create, toBinary, ...(await root(`/gen/proto/enroute/v1/${name}_pb.ts`)) };
}

export const close = () => loader.close();

const { Live } = await proto("live");

/** Follows a transfer until its state is as wanted; gives that state. */
export async function until(server, transfer, wanted, hangMs) {
  const live = createClient(Live, createGrpcWebTransport({ baseUrl: server }));
  const abort = AbortSignal.timeout(hangMs);
  let last = null;
  try {
    for await (const { update } of live.watch({}, { signal: abort })) {
      // Whatever came, the list has the whole state.
      if (update.case === "samples" || update.case === "values" || update.case === undefined) continue;
      const { transfer: all } = await live.list({}, { signal: abort });
      last = all.find((one) => one.transfer === transfer) ?? null;
      if (last && wanted(last)) return last;
    }
  } catch (error) {
    if (!abort.aborted) throw error;
  }
  throw new Error(`${transfer} never came to ${wanted}: ${JSON.stringify(last, (_, value) => (typeof value === "bigint" ? String(value) : value))}`);
}
