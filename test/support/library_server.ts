/**
 * A whole SSH server made of the library, in the test's own process: runs commands, forwards both ways on loopback. What
 * the interop tests hold real clients against, and a test of the library's own doors.
 */
import { checkCertificate } from "../../src/cert/check.ts";
import { withCertificate } from "../../src/cert/certificate.ts";
import { decodeBase64 } from "../../src/bytes/encoding.ts";
import { equal } from "../../src/bytes/bytes.ts";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import { parsePrivateKey } from "../../src/keys/private_key.ts";
import type { PublicKey, Signer } from "../../src/keys/types.ts";
import type { NetConnection } from "../../src/platform/net.ts";
import type { CryptoProvider } from "../../src/platform/crypto.ts";
import { type AlgorithmLists, supportedAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import type { Negotiated } from "../../src/ssh/algorithms/negotiation.ts";
import type { PublicKeyRequest, Verdict } from "../../src/ssh/auth/server/types.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import type { Connection } from "../../src/ssh/connection/types.ts";
import { type Deliver, serveForwarding } from "../../src/ssh/forward/incoming.ts";
import type { HostPort } from "../../src/ssh/forward/messages.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { serveSession, type StartRequest } from "../../src/ssh/session/server.ts";
import { relay } from "../../src/streams/relay.ts";
import type { KeyFile } from "./keygen.ts";

export interface LibraryServerOptions {
  readonly hostKeys: readonly Signer[];
  /** Keys that may log in, as authorized_keys lines. */
  readonly authorized?: readonly string[];
  /** Authority whose certificates may log in as one of their principals. */
  readonly authority?: KeyFile;
  readonly algorithms?: AlgorithmLists;
  readonly crypto?: CryptoProvider;
  /** Bytes after which keys are renewed. */
  readonly rekeyBytes?: number;
}

/** One login as the server saw it. */
export interface Login {
  readonly user: string;
  /** Key algorithm that was proven. */
  readonly algorithm: string;
  /** What the first key exchange agreed on. */
  readonly negotiated: Negotiated;
}

export interface LibraryServer extends AsyncDisposable {
  readonly port: number;
  /** Logins so far, in order. */
  readonly logins: readonly Login[];
  /** Connections that ended in an error, and the error: for messages of failing tests. */
  readonly errors: readonly Error[];
}

/** Loaded once and for good, outside any test: a library that stays is a leak to the one that loads it. */
const systemCrypto = (await chooseCrypto()).provider;

/** A private key's file, with the certificate beside it if asked for, as what the library signs with. */
export async function readSigner(key: KeyFile, certificate?: string): Promise<Signer> {
  const signer = await parsePrivateKey(Deno.readTextFileSync(key.path));
  if (certificate === undefined) return signer;
  return withCertificate(signer, decodeBase64(Deno.readTextFileSync(certificate).split(" ")[1]));
}

/** Starts a server on a free port of 127.0.0.1. */
export async function startLibraryServer(options: LibraryServerOptions): Promise<LibraryServer> {
  const { crypto = systemCrypto, algorithms = supportedAlgorithms } = options;
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const logins: Login[] = [];
  const errors: Error[] = [];
  const life = new AbortController();
  const open = new Set<Promise<void>>();

  async function serve(duplex: NetConnection): Promise<void> {
    try {
      const connection = await acceptSsh<string>(duplex, {
        crypto,
        algorithms,
        hostKeys: options.hostKeys,
        rekey: options.rekeyBytes ? { bytes: options.rekeyBytes } : undefined,
        signal: life.signal,
        auth: { publicKey: (request) => decide(request, options) },
        prepare: (connection) => {
          const { user, identity } = connection.authenticated;
          logins.push({ user, algorithm: identity, negotiated: connection.negotiated });
          serveChannels(connection);
        },
      });
      const error = await connection.closed;
      if (error && !life.signal.aborted) errors.push(error);
    } catch (error) {
      errors.push(error as Error);
    }
  }

  const accepting = (async () => {
    for await (const duplex of listener) {
      const served = serve(duplex).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  return {
    port: listener.address.transport === "tcp" ? listener.address.port : 0,
    logins,
    errors,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      life.abort(new Error("the test is over"));
      await Promise.all(open);
    },
  };
}

async function decide(
  request: PublicKeyRequest,
  { authorized = [], authority }: LibraryServerOptions,
): Promise<Verdict<string>> {
  const { key, certificate, user, algorithm } = request;
  const accepted = { result: "accepted", identity: algorithm } as const;
  const isLine = (line: string, key: PublicKey) => equal(decodeBase64(line.split(" ")[1]), key.blob);
  if (!certificate) {
    return authorized.some((line) => isLine(line, key))
      ? accepted
      : { result: "refused", reason: "unknown key" };
  }
  const fault = await checkCertificate(certificate, {
    role: "user",
    principals: [user],
    now: Date.now(),
    trusted: (key) => authority !== undefined && isLine(authority.line, key),
    peerAddress: "127.0.0.1",
  });
  return fault ? { result: "refused", reason: fault } : accepted;
}

function serveChannels(connection: Connection): void {
  const router = new Router(connection);
  router.onChannel("session", (incoming) => serveSession(incoming.accept(), { start }));
  const dial = ({ host, port }: HostPort) => denoNet.dial({ transport: "tcp", hostname: host, port });
  serveForwarding(connection, router, {
    dialTcp: ({ target }) => dial(target),
    listenTcp: async ({ port }, deliver) => {
      const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port });
      const { address } = listener;
      const forwarding = forward(listener, deliver);
      return {
        port: address.transport === "tcp" ? address.port : 0,
        async close() {
          listener.close();
          await forwarding;
        },
      };
    },
  });
}

async function forward(listener: AsyncIterable<NetConnection>, deliver: Deliver): Promise<void> {
  for await (const duplex of listener) {
    deliver({ host: "127.0.0.1", port: 0 }).then(
      (channel) => relay(duplex, channel),
      (error) => duplex.close(error),
    );
  }
}

async function start(request: StartRequest) {
  if (request.type !== "exec") return undefined;
  const env = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", HOME: "/nonexistent" };
  const child = await denoProcesses.spawn({ file: "/bin/sh", args: ["-c", request.command], env });
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    status: child.status,
    signal: (name: string) => child.kill(name),
    close: () => child.kill("HUP"),
  };
}
