/** The server's end of an SSH connection. */
import type { Signer } from "../keys/types.ts";
import { type Duplex, plain } from "../streams/duplex.ts";
import { keyAlgorithms, signatureAlgorithms } from "./algorithms/key_algorithms.ts";
import { defaultAlgorithms } from "./algorithms/lists.ts";
import { authenticateServer } from "./auth/server/authenticate.ts";
import type { Authenticated, ServerAuth } from "./auth/server/types.ts";
import { establish, type SshConnection, type SshOptions, transportConfig } from "./establish.ts";
import { Transport } from "./transport/transport.ts";

/** A connection whose client is authenticated. @typeParam I what the program calls an identity */
export type ServerConnection<I> = SshConnection<Authenticated<I>>;

/** How a server serves. @typeParam I what the program calls an identity */
export interface ServerOptions<I> extends SshOptions {
  /** Host keys, each with or without a certificate; as a function asked anew at each key exchange. */
  readonly hostKeys: readonly Signer[] | (() => readonly Signer[]);
  /** Who may come in: its callbacks decide. */
  readonly auth: ServerAuth<I>;
  /** Called before the first message is handled: the place to set `onChannel` and `onGlobalRequest`. */
  readonly prepare?: (connection: ServerConnection<I>) => void;
}

/**
 * Serves one SSH connection: resolves when the client is authenticated.
 *
 * ```ts ignore
 * const connection = await acceptSsh(duplex, {
 *   crypto,
 *   hostKeys: [hostKey],
 *   auth: { publicKey: ({ key }) => decide(key) },
 *   prepare: (connection) => connection.onChannel = serveChannel,
 * });
 * await connection.closed;
 * ```
 * @throws {SshError} why there is no connection; the peer has been told
 */
export function acceptSsh<I>(duplex: Duplex, options: ServerOptions<I>): Promise<ServerConnection<I>> {
  const { hostKeys, auth, clock } = options;
  const start = (signal: AbortSignal) =>
    Transport.start(plain(duplex), {
      ...transportConfig(options, defaultAlgorithms),
      role: "server",
      hostKeys: typeof hostKeys === "function" ? hostKeys : () => hostKeys,
      signatureAlgorithms: announced(auth.algorithms),
    }, signal);
  return establish(
    options,
    start,
    (transport, signal) => authenticateServer(transport, auth, { signal, clock }),
  );
}

/** `server-sig-algs` for the accepted public key algorithms: plain forms only, as OpenSSH announces them. */
function announced(accepted: readonly string[] | undefined): readonly string[] {
  if (!accepted) return signatureAlgorithms;
  const used = new Set(accepted.map((name) => keyAlgorithms.get(name)?.signature));
  return signatureAlgorithms.filter((name) => used.has(name));
}
