/** Connections that come in from a gateway that this one has joined. */
import type { DecisionContext } from "../../identity/policy/mod.ts";
import { type Identity, keyIdentity } from "../../identity/principal.ts";
import { RESTRICTED, type Restrictions, UNRESTRICTED } from "../../keys/restrictions.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import type { Bytes } from "../../bytes/bytes.ts";
import type { PublicKey } from "../../keys/types.ts";
import { formatAddress, formatHostPort, type TcpAddress } from "../../platform/net.ts";
import type { ClientConnection } from "../../ssh/client.ts";
import { ChannelOpenReason } from "../../ssh/error.ts";
import type { IncomingChannel } from "../../ssh/connection/types.ts";
import type { AuditContext } from "../../telemetry/audit.ts";
import { serveAsked } from "../direct.ts";
import type { GatewayParts } from "../parts.ts";
import type { Requester } from "../requester.ts";
import { type Assertion, readAssertion } from "./assertion.ts";
import { decodeMeshChannel, type MeshChannel, signedPart } from "./messages.ts";
import { pathFault } from "./path.ts";

/** The gateway at the other end: who it is by its host key, and what is open to it. */
export interface JoinedGateway {
  readonly connection: ClientConnection;
  readonly hostKey: PublicKey;
  readonly fingerprint: string;
  readonly address: TcpAddress;
  /** Aborts when the connection has ended. */
  readonly ended: AbortSignal;
  /** What records call the connection. */
  readonly name: string;
}

/** Serves one `mesh-tcpip@ssh-mesh` channel: resolves when it has been answered. */
export async function serveArrival(
  incoming: IncomingChannel,
  gateway: JoinedGateway,
  parts: GatewayParts,
): Promise<void> {
  const asked = decodeMeshChannel(incoming.data);
  const refuse = (rule: string, reason: string) => {
    const resource = formatHostPort(asked.target.host, asked.target.port);
    const context = { remote: formatAddress(gateway.address), connection: gateway.name };
    parts.audit.record("access.refused", { action: "mesh-tcpip", resource, rule, reason }, context);
    incoming.reject(ChannelOpenReason.administrativelyProhibited, "administratively prohibited");
  };
  const fault = pathFault(asked.path, parts.mesh.id);
  if (fault !== undefined || asked.path.length === 0) {
    return refuse("gateways", fault ?? "it says nothing of its path");
  }
  const assertion = readAssertion(asked.assertion);
  if (!assertion || !await isSigned(asked, gateway)) {
    return refuse("gateways", "the assertion of who it is for is malformed or not signed by that gateway");
  }
  const { target, originator } = asked;
  const traveller = new Traveller(assertion, asked.path, gateway, parts);
  await serveAsked(incoming, { target, originator }, traveller, parts);
}

async function isSigned(asked: MeshChannel, { connection, hostKey }: JoinedGateway): Promise<boolean> {
  const algorithm = algorithmOf(asked.signature);
  if (algorithm === undefined) return false;
  const signed = signedPart(connection.sessionId, asked);
  return await hostKey.verify(algorithm, asked.signature, signed) !== undefined;
}

function algorithmOf(signature: Bytes): string | undefined {
  try {
    return new Reader(signature).text();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/**
 * Somebody behind another gateway. That gateway's word on who it is counts while a rule lets it `assert`; without one the
 * gateway itself is judged.
 */
class Traveller implements Requester {
  readonly name: string;
  readonly ended: AbortSignal;
  readonly hops: readonly string[];
  readonly #assertion: Assertion;
  readonly #gateway: JoinedGateway;
  readonly #gatewayIdentity: Identity;
  readonly #parts: GatewayParts;

  constructor(assertion: Assertion, path: readonly string[], gateway: JoinedGateway, parts: GatewayParts) {
    this.hops = path;
    this.name = gateway.name;
    this.ended = gateway.ended;
    this.#assertion = assertion;
    this.#gateway = gateway;
    this.#gatewayIdentity = keyIdentity({ fingerprint: gateway.fingerprint, owner: false });
    this.#parts = parts;
  }

  get identity(): Identity {
    return this.#isBelieved() ? this.#assertion.identity : this.#gatewayIdentity;
  }

  /** What the first gateway's key lines say was held against there; forwarding itself is judged here again. */
  get restrictions(): Restrictions {
    return this.identity.restrictions.portForwarding === false ? RESTRICTED : UNRESTRICTED;
  }

  get description(): string {
    return formatAddress(this.#gateway.address);
  }

  get auditContext(): AuditContext {
    return { actor: this.identity, remote: this.description, connection: this.name };
  }

  context(open?: boolean): DecisionContext {
    const { source } = this.#assertion;
    const sourceAddress = this.#isBelieved() ? source : this.#gateway.address.hostname;
    return this.#context(sourceAddress, open);
  }

  #isBelieved(): boolean {
    const context = this.#context(this.#gateway.address.hostname);
    return this.#parts.judge.decide(this.#gatewayIdentity, "assert", { kind: "gateway" }, context).allowed;
  }

  #context(sourceAddress: string | undefined, open = false): DecisionContext {
    return {
      now: this.#parts.clock.now(),
      ...(sourceAddress !== undefined && { sourceAddress }),
      ...(open && { open }),
    };
  }
}
