/** Everything that the gateway does for one client: sessions, forwards, keepalive, requests of our own agents. */
import type { Bytes } from "../bytes/bytes.ts";
import { MalformedError } from "../bytes/reader.ts";
import { parseDialRange } from "../identity/ranges.ts";
import type { Signer } from "../keys/types.ts";
import { decodeAllowDial, decodeInstance, encodeUserCas, MeshRequest } from "../mesh/requests.ts";
import type { OpenRequest } from "../routing/target.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import { announceHostKeys } from "../ssh/connection/host_key_rotation.ts";
import { keepAlive } from "../ssh/connection/keepalive.ts";
import { Router } from "../ssh/connection/router.ts";
import type { Channel } from "../ssh/connection/types.ts";
import { serveForwarding } from "../ssh/forward/incoming.ts";
import { openTcp } from "../ssh/forward/outgoing.ts";
import { serveSession } from "../ssh/session/server.ts";
import type { Client } from "./client.ts";
import type { GatewayView } from "./commands/command.ts";
import { commandSession } from "./commands/mod.ts";
import type { Dialer } from "./dialers.ts";
import { serveDirect } from "./direct.ts";
import { orTargetError } from "./forwarded.ts";
import { KEEPALIVE } from "./keepalive.ts";
import { decodeExport, decodeGateway, decodeUnexport, GatewayMessage } from "./mesh/messages.ts";
import type { GatewayParts } from "./parts.ts";
import { Registrations } from "./registrations.ts";

/** Sessions of one connection, as sshd's MaxSessions: whoever is authenticated has them, and each holds what is sent to it. */
export const MAX_SESSIONS = 10;

export class ServedClient implements Dialer {
  readonly client: Client;
  readonly registrations: Registrations;
  readonly #parts: GatewayParts;

  /** Takes the connection over; call it before the first message is handled. */
  constructor(client: Client, parts: GatewayParts, hostKeys: readonly Signer[], view: () => GatewayView) {
    this.client = client;
    this.#parts = parts;
    this.registrations = new Registrations(client, parts);
    const { connection } = client;
    const router = new Router(connection);
    const session = commandSession(() => ({
      client,
      parts,
      served: this.registrations.served,
      gateway: view(),
    }));
    let sessions = 0;
    router.onChannel("session", async (incoming) => {
      if (sessions >= MAX_SESSIONS) {
        return incoming.reject(ChannelOpenReason.resourceShortage, "no more sessions on this connection");
      }
      sessions++;
      try {
        await serveSession(incoming.accept(), session);
      } finally {
        sessions--;
      }
    });
    router.onChannel("direct-tcpip", (incoming) => serveDirect(incoming, client, parts));
    serveForwarding(connection, router, { listenTcp: (asked) => this.registrations.listen(asked) });
    router.onRequest(MeshRequest.instance, ({ data }) => this.#takeInstance(data));
    router.onRequest(MeshRequest.private, () => client.private = true);
    router.onRequest(MeshRequest.userCa, () => this.#userCas());
    router.onRequest(MeshRequest.allowDial, ({ data }) => this.#takeDialRanges(data));
    router.onRequest(GatewayMessage.gateway, ({ data }) => this.#takeGateway(data));
    router.onRequest(GatewayMessage.export, ({ data }) => this.registrations.export(decodeExport(data)));
    router.onRequest(
      GatewayMessage.unexport,
      ({ data }) => this.registrations.unexport(decodeUnexport(data)),
    );
    announceHostKeys(connection, router, {
      hostKeys: () => hostKeys,
      algorithm: connection.negotiated.hostKey,
    });
    keepAlive(connection, { ...KEEPALIVE, clock: parts.clock, onAnswer: () => this.registrations.renew() });
    connection.closed.then(() => {
      parts.dialers.withdraw(this);
      return this.registrations.close();
    });
  }

  // -- as a dialer -----------------------------------------------------------------------------------------------

  get identity() {
    return this.client.identity;
  }

  get description(): string {
    return this.client.description;
  }

  names(): readonly string[] {
    return this.registrations.names;
  }

  dial(
    { hostname, port }: { readonly hostname: string; readonly port: number },
    { origin, signal }: OpenRequest,
  ): Promise<Channel> {
    const originator = { host: origin.hostname, port: origin.port };
    const opening = openTcp(this.client.connection, { host: hostname, port }, { originator, signal });
    return orTargetError(opening, signal);
  }

  // -- requests of our agents ------------------------------------------------------------------------------------

  #takeInstance(data: Bytes): boolean {
    // Leases that stand were claimed without it, or with another.
    if (this.registrations.size > 0) return false;
    this.client.instance = decodeInstance(data);
    return true;
  }

  async #userCas(): Promise<Bytes | false> {
    const { authority } = this.#parts;
    if (!authority) return false;
    // While nothing is known of it, it gives none.
    const known = await authority.authorities().catch(() => undefined);
    return known !== undefined && encodeUserCas(known.user.map(({ blob }) => blob));
  }

  #takeGateway(data: Bytes): boolean {
    const id = decodeGateway(data);
    if (id === this.#parts.mesh.id || this.registrations.size > 0) return false;
    this.client.gateway = id;
    return true;
  }

  #takeDialRanges(data: Bytes): boolean {
    const ranges = decodeAllowDial(data).map((text) => {
      try {
        return parseDialRange(text);
      } catch (cause) {
        throw new MalformedError("not a range", { cause });
      }
    });
    this.#parts.dialers.offer(this, ranges);
    return true;
  }
}
