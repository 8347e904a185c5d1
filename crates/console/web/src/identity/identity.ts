// Who a patient is, asked from the server and told to it. I/O. What comes is kept by
// who shows it, and nowhere else: not in this browser's storage, and in no address.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { Identities, type Identity, type PersonSchema, type StatementSchema } from "../../gen/proto/enroute/v1/identity_pb";
import { transport } from "../stream/follow";
import { login } from "../who/login.svelte";

const identities: Client<typeof Identities> = createClient(Identities, transport);

/** Nobody at this screen may know, or the server does not: it is not asked again. */
let barred = false;

export type Known = { readonly identity: Identity | undefined } | { readonly failed: string };

export interface Said {
  readonly person?: MessageInitShape<typeof PersonSchema>;
  readonly statement: MessageInitShape<typeof StatementSchema>[];
}

/** Somebody may know more than before. */
export function unbar(): void {
  barred = false;
}

/** Who is on a transfer; `null`: it is nothing for this screen. */
export async function ask(transfer: string): Promise<Known | null> {
  // A server that asks nobody who they are tells nobody who patients are.
  if (barred || login.token === "") return null;
  try {
    return { identity: (await identities.get({ transfer })).identity };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    barred = code === Code.PermissionDenied || code === Code.FailedPrecondition || code === Code.Unimplemented;
    return barred ? null : { failed: rawMessage };
  }
}

/** Says who is on a transfer; durable when it resolves. */
export async function say(transfer: string, said: Said): Promise<Known> {
  try {
    return { identity: (await identities.set({ transfer, ...said })).identity };
  } catch (error) {
    return { failed: ConnectError.from(error).rawMessage };
  }
}
