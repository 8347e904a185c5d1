// What a person does, told to the server in their name. I/O.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, createClient, type Client } from "@connectrpc/connect";
import { Transfers, type RegistryActionSchema } from "../../gen/proto/enroute/v1/transfers_pb";
import { transport } from "../stream/follow";
import { who } from "./who.svelte";

const transfers: Client<typeof Transfers> = createClient(Transfers, transport);

export type Deed = NonNullable<MessageInitShape<typeof RegistryActionSchema>["action"]>;

/** Does it; resolves when it is durable. A text says why it was not done, `null`
 * that nobody wanted to do it. */
export async function act(transfer: string, deed: Deed): Promise<"done" | null | { readonly refused: string }> {
  const actor = await who.name();
  if (actor === null) return null;
  try {
    await tell(transfer, deed, actor);
    return "done";
  } catch (error) {
    return { refused: ConnectError.from(error).rawMessage };
  }
}

/** Tells the server something that no person did. */
export async function tell(transfer: string, deed: Deed, actor: string): Promise<void> {
  await transfers.act({ transfer, actionId: newId(), actor, action: { action: deed } });
}

/** Random; without the page needing TLS, as `crypto.randomUUID` would. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
