/** The client's end of an SSH connection. */
import { type Duplex, plain } from "../streams/duplex.ts";
import { defaultClientAlgorithms } from "./algorithms/lists.ts";
import { authenticateClient } from "./auth/client/authenticate.ts";
import type { ClientAuth, ClientAuthenticated } from "./auth/client/types.ts";
import { establish, type SshConnection, type SshOptions, transportConfig } from "./establish.ts";
import type { HostKeyVerifier } from "./transport/host_key.ts";
import { Transport } from "./transport/transport.ts";

/** A connection to a server that is believed and that has let us in. */
export type ClientConnection = SshConnection<ClientAuthenticated>;

/** How a client connects. */
export interface ClientOptions extends SshOptions {
  /** Says whether the server's key is the right one. There is no default, and no way around. */
  readonly verifyHostKey: HostKeyVerifier;
  /** As whom, and with what. */
  readonly auth: Omit<ClientAuth, "signal">;
  /** Called before the first message is handled: the place to set `onChannel` and `onGlobalRequest`. */
  readonly prepare?: (connection: ClientConnection) => void;
}

/**
 * Connects over `duplex`: resolves when authenticated.
 *
 * ```ts ignore
 * const connection = await connectSsh(duplex, {
 *   crypto,
 *   verifyHostKey: async ({ key }) => await key.fingerprint() === expected || "this is another server",
 *   auth: { user: "ann", credentials: [{ method: "publickey", signers: [key] }] },
 * });
 * ```
 * @throws {SshError} `host-key`, `auth`, `negotiation`, …
 */
export function connectSsh(duplex: Duplex, options: ClientOptions): Promise<ClientConnection> {
  const { auth, verifyHostKey } = options;
  const start = (signal: AbortSignal) =>
    Transport.start(
      plain(duplex),
      { ...transportConfig(options, defaultClientAlgorithms), role: "client", verifyHostKey },
      signal,
    );
  return establish(options, start, (transport, signal) => authenticateClient(transport, { ...auth, signal }));
}
