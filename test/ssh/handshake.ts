/** A client and a server of ours, joined in memory. */
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import type { Signer } from "../../src/keys/types.ts";
import { type ClientConnection, type ClientOptions, connectSsh } from "../../src/ssh/client.ts";
import { acceptSsh, type ServerConnection, type ServerOptions } from "../../src/ssh/server.ts";
import type { Duplex, PlainDuplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";

export const hostKey: Signer = await generatePrivateKey("ssh-ed25519");
export const userKey: Signer = await generatePrivateKey("ssh-ed25519");

export interface PairOptions {
  readonly client?: Partial<ClientOptions>;
  readonly server?: Partial<ServerOptions<string>>;
  /** Put between the server and its end of the pipe, or the client and its. */
  readonly aroundServer?: (duplex: PlainDuplex) => Duplex;
  readonly aroundClient?: (duplex: PlainDuplex) => Duplex;
}

export interface ConnectedPair extends AsyncDisposable {
  readonly client: ClientConnection;
  readonly server: ServerConnection<string>;
}

/** Options of a server that lets `userKey` in. */
export function serverOptions(options: Partial<ServerOptions<string>> = {}): ServerOptions<string> {
  return {
    crypto: nodeCrypto,
    hostKeys: [hostKey],
    auth: {
      publicKey: ({ key }) =>
        key.blob.every((byte, i) => byte === userKey.publicKey.blob[i])
          ? { result: "accepted", identity: "ann" }
          : { result: "refused" },
    },
    ...options,
  };
}

/** Options of a client that believes `hostKey` and has `userKey`. */
export function clientOptions(options: Partial<ClientOptions> = {}): ClientOptions {
  return {
    crypto: nodeCrypto,
    verifyHostKey: ({ key }) =>
      key.blob.every((byte, i) => byte === hostKey.publicKey.blob[i]) || "another host key",
    auth: { user: "ann", credentials: [{ method: "publickey", signers: [userKey] }] },
    ...options,
  };
}

/** Both ends, authenticated. Rejects when either side fails; both have then ended. */
export async function connectPair(options: PairOptions = {}): Promise<ConnectedPair> {
  const [near, far] = duplexPair();
  const accepting = acceptSsh(options.aroundServer?.(far) ?? far, serverOptions(options.server));
  const connecting = connectSsh(options.aroundClient?.(near) ?? near, clientOptions(options.client));
  const results = await Promise.allSettled([connecting, accepting]);
  const failed = results.find((result) => result.status === "rejected");
  const [client, server] = results.map((result) => result.status === "fulfilled" ? result.value : undefined);
  const end = async () => {
    client?.close();
    server?.close();
    await Promise.all([client?.closed, server?.closed]);
  };
  if (failed) {
    await end();
    throw failed.reason;
  }
  return {
    client: client as ClientConnection,
    server: server as ServerConnection<string>,
    [Symbol.asyncDispose]: end,
  };
}
