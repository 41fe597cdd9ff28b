/** A gateway made of the library, in memory: takes tokens and keys, registers, certifies, revokes. */
import { encodeText, equal } from "../../src/bytes/bytes.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { signCertificate, withCertificate } from "../../src/cert/certificate.ts";
import { type Krl, writeKrl } from "../../src/cert/krl.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { denoNet } from "../../src/deno/net.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { PublicKey, Signer } from "../../src/keys/types.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { type Net, type NetConnection, NetError, type TcpAddress } from "../../src/platform/net.ts";
import type { StateFolder } from "../../src/platform/state.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import type { Channel } from "../../src/ssh/connection/types.ts";
import { type Deliver, serveForwarding } from "../../src/ssh/forward/incoming.ts";
import { acceptSsh, type ServerConnection } from "../../src/ssh/server.ts";
import { serveSession } from "../../src/ssh/session/server.ts";
import type { Duplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";

export const gatewayKey = await generatePrivateKey("ssh-ed25519");
export const hostAuthority = await generatePrivateKey("ssh-ed25519");
export const userAuthority = await generatePrivateKey("ssh-ed25519");

/** How a command of the gateway's ends. */
export interface Answer {
  readonly out?: Uint8Array<ArrayBuffer> | string;
  readonly err?: string;
  readonly exit?: number;
}

/** Somebody who was let in. */
export interface Guest {
  readonly method: string;
  readonly token?: string;
  readonly key?: PublicKey;
  readonly certified?: boolean;
}

export class FakeGateway {
  /** Shown to agents; may be another one's, or have a certificate. */
  hostKey: Signer = gatewayKey;
  /** Tokens that are taken. */
  readonly tokens = new Set<string>();
  /** Join tokens that are taken, once. */
  readonly joins = new Set<string>();
  readonly keys: PublicKey[] = [];
  /** Whether users' certificates of {@link userAuthority} are taken. */
  certificates = true;
  /** Seconds that certificates are valid. */
  lifetime = 600;
  /** In place of what a command would do. */
  readonly answers = new Map<string, Answer>();
  krl: Partial<Krl> = {};
  /** Signs host certificates. */
  hostAuthority: Signer = hostAuthority;
  /** Methods that are offered. */
  methods: readonly string[] = ["publickey", "password", "keyboard-interactive"];
  /** Everything that was tried: `password TOKEN`, `publickey`, … */
  readonly tried: string[] = [];
  readonly guests: Guest[] = [];
  readonly commands: string[] = [];
  readonly registered: string[] = [];
  readonly delivers = new Map<string, Deliver>();
  readonly connections: ServerConnection<Guest>[] = [];
  /** Sessions that are refused because the credential has expired. */
  expired?: (guest: Guest) => boolean;
  readonly #clock: Clock;
  readonly #open = new Set<Promise<unknown>>();
  #serial = 1n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A network on which only this gateway is. */
  get net(): Net {
    return {
      dial: (address) => {
        const [near, far] = duplexPair();
        const served = this.#accept(far).finally(() => this.#open.delete(served));
        this.#open.add(served);
        return Promise.resolve(Object.assign(near, { local: address, remote: address }) as NetConnection);
      },
      listen: () => Promise.reject(new NetError("denied", "nobody listens here")),
      resolve: (name) => Promise.resolve([name]),
    };
  }

  /** Serves real connections on a free port of 127.0.0.1 until the listener is closed. */
  async listen(): Promise<{ readonly port: number; close(): void }> {
    const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
    const accepting = (async () => {
      for await (const connection of listener) {
        const served = this.#accept(connection).finally(() => this.#open.delete(served));
        this.#open.add(served);
      }
    })().finally(() => this.#open.delete(accepting));
    this.#open.add(accepting);
    return { port: (listener.address as TcpAddress).port, close: () => listener.close() };
  }

  /** Shows a certificate of {@link hostAuthority} for these names beside its key. */
  async certifyItself(...names: string[]): Promise<void> {
    this.hostKey = withCertificate(this.hostKey, await this.#sign("host", this.hostKey.publicKey, names));
  }

  /** Tells every agent that authorities or revocations have changed. */
  announceTrust(): void {
    for (const connection of this.connections) {
      connection.request("trust@ssh-mesh", new Uint8Array(), false).catch(() => {});
    }
  }

  /** Ends every connection, and waits until nothing of them is left. */
  async close(): Promise<void> {
    for (const connection of this.connections.splice(0)) connection.close();
    await Promise.all(this.#open);
  }

  async #accept(duplex: Duplex): Promise<void> {
    try {
      const connection = await acceptSsh<Guest>(duplex, {
        crypto: nodeCrypto,
        hostKeys: () => [this.hostKey],
        auth: {
          failureQuantum: 0,
          methods: () => this.methods,
          password: ({ password }) => this.#judgeToken("password", password),
          keyboardInteractive: async ({ prompt }) => {
            let token = "";
            for (let text = "Token, or its first part ending in +: ";; text = "Next part: ") {
              const [part] = await prompt({ prompts: [{ text, echo: false }] });
              if (part.length > 1023) return { result: "refused" };
              token += part.replace(/\+$/, "");
              if (!part.endsWith("+")) return this.#judgeToken("keyboard-interactive", token);
            }
          },
          publicKey: ({ key, certificate, proven }) => {
            if (proven) this.tried.push(certificate ? "certificate" : "publickey");
            const known = this.keys.some(({ blob }) => equal(blob, key.blob));
            const ours = certificate && equal(certificate.signatureKey.blob, userAuthority.publicKey.blob);
            const fresh = certificate && Number(certificate.validBefore) * 1000 > this.#clock.now();
            return (certificate ? this.certificates && ours && fresh : known)
              ? {
                result: "accepted",
                identity: { method: "publickey", key, certified: certificate !== undefined },
              }
              : { result: "refused" };
          },
        },
        prepare: (connection) => this.#serve(connection),
      });
      this.guests.push(connection.authenticated.identity);
      this.connections.push(connection);
      await connection.closed;
    } catch {
      // The agent did not like what it saw, or was not let in.
    }
  }

  #judgeToken(method: string, token: string) {
    this.tried.push(`${method} ${token.slice(0, 40)}`);
    const known = this.tokens.has(token) || this.joins.has(token);
    return known
      ? { result: "accepted" as const, identity: { method, token } }
      : { result: "refused" as const };
  }

  #serve(connection: ServerConnection<Guest>): void {
    const router = new Router(connection);
    router.onRequest("instance@ssh-mesh", () => true);
    router.onRequest("user-ca@ssh-mesh", () => new Writer().string(userAuthority.publicKey.blob).finish());
    serveForwarding(connection, router, {
      listenTcp: ({ host, port }, deliver) => {
        this.registered.push(`${host}:${port}`);
        this.delivers.set(`${host}:${port}`, deliver);
        return Promise.resolve({ port, close() {} });
      },
    });
    router.onChannel("session", (incoming) => {
      const guest = connection.authenticated.identity;
      if (this.expired?.(guest)) return incoming.reject(1, "the credential has expired");
      serveSession(incoming.accept(), {
        start: (request) => {
          const command = request.type === "exec" ? request.command : request.type;
          const serve = async (channel: Channel) => {
            const input = await readAll(channel);
            this.commands.push(command);
            const running = this.#run(command, input, guest);
            // Its signature may be under way when the connection ends.
            this.#open.add(running.catch(() => {}));
            const { out = "", err = "", exit: code = 0 } = await running;
            if (out.length > 0) await channel.write(typeof out === "string" ? encodeText(out) : out);
            if (err) await channel.stderr.write(encodeText(err));
            return { code };
          };
          return Promise.resolve({ serve });
        },
      });
    });
  }

  async #run(command: string, input: string, guest: Guest): Promise<Answer> {
    const set = this.answers.get(command);
    if (set) return set;
    if (command === "krl") return { out: writeKrl(this.krl) };
    if (command === "ca host") return { out: `${formatPublicKey(this.hostAuthority.publicKey)}\n` };
    const { key } = parsePublicKeyLine(input);
    if (command === "join" && guest.token && this.joins.delete(guest.token)) {
      this.keys.push(key);
      return { out: "web.mesh\n" };
    }
    if (command !== "cert" && command !== "cert --host") {
      return { err: "there is no such command\n", exit: 127 };
    }
    const blob = command === "cert"
      ? await this.#sign("user", key, ["web@prod.mesh"])
      : await this.#sign("host", key, ["web.prod.svc.mesh"]);
    return { out: `${formatPublicKey(blob)}\n` };
  }

  #sign(role: "user" | "host", publicKey: PublicKey, principals: string[]) {
    const now = BigInt(Math.floor(this.#clock.now() / 1000));
    return signCertificate({
      role,
      publicKey,
      serial: this.#serial++,
      keyId: "fake",
      principals,
      validAfter: now - 60n,
      validBefore: now + BigInt(this.lifetime),
    }, role === "user" ? userAuthority : this.hostAuthority);
  }
}

async function readAll(channel: Channel): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let count = await channel.read(buffer); count !== null; count = await channel.read(buffer)) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

export interface MemoryState extends StateFolder {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  text(name: string): string;
}

/** A state folder that is forgotten. */
export function memoryState(): MemoryState {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    path: "/state",
    files,
    read: (name) => Promise.resolve(files.get(name)?.slice()),
    write: (name, content) => Promise.resolve(void files.set(name, content.slice())),
    openJournal: () => Promise.reject(new Error("no journals here")),
    close() {},
    text: (name) => new TextDecoder().decode(files.get(name)),
  };
}
