// What a person does about an alert, told to the server. I/O.
import { createClient, type Client } from "@connectrpc/connect";
import type { Alert } from "../../gen/proto/enroute/v1/live_pb";
import { Transfers } from "../../gen/proto/enroute/v1/transfers_pb";
import { transport } from "../stream/follow";

const transfers: Client<typeof Transfers> = createClient(Transfers, transport);

export type AlertDeed =
  | { readonly case: "acknowledge"; readonly value: Record<string, never> }
  | { readonly case: "pauseS"; readonly value: number };

/** Acknowledges an alert or lets its signals rest; resolves when that is durable.
 * Refused, when the alert became more urgent than what the page shows. */
export async function seeTo(transfer: string, alert: Alert, deed: AlertDeed): Promise<void> {
  await transfers.act({
    transfer,
    actionId: newId(),
    actor: "console",
    action: {
      action: {
        case: "alert",
        value: { alertId: alert.alertId, seenOrdinal: alert.raisedOrdinal, action: deed },
      },
    },
  });
}

/** Random; without the page needing TLS, as `crypto.randomUUID` would. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
