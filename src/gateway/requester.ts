/** Who asks for a connection, and on whose right: a client, or somebody behind another gateway. */
import type { DecisionContext } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import type { Restrictions } from "../keys/restrictions.ts";
import type { OpenRequest } from "../routing/target.ts";
import type { AuditContext } from "../telemetry/audit.ts";

export interface Requester {
  /** As it counts now: it may be another one later. */
  readonly identity: Identity;
  readonly restrictions: Restrictions;
  /** The peer's address: `10.0.0.7:40100`. */
  readonly description: string;
  /** What records call its connection. */
  readonly name: string;
  readonly auditContext: AuditContext;
  /** Aborts when nobody waits for the connection any more. */
  readonly ended: AbortSignal;
  /** Gateways that the connection has come through, this one not counted. */
  readonly hops: readonly string[];
  /** @param open what is judged is open already */
  context(open?: boolean): DecisionContext;
}

/** A connection to be opened for somebody: what a gateway further on is told. */
export interface TravelRequest extends OpenRequest {
  readonly identity: Identity;
  /** Address of the client, as the gateway that it came in to saw it. */
  readonly source: string | undefined;
  /** Gateways passed, this one the last. */
  readonly hops: readonly string[];
}

/** Whether a request says for whom it is. Those for connections from outside do not. */
export function isTravelRequest(request: OpenRequest): request is TravelRequest {
  return "identity" in request && "hops" in request;
}
