/** A gateway and its clients in one process, over connections in memory. */
import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { Gateway, type GatewayOptions } from "../../src/gateway/gateway.ts";
import type { Keyring } from "../../src/gateway/keyring.ts";
import { makeKeyring } from "../../src/gateway/keyring_files.ts";
import type { Trust } from "../../src/gateway/trust.ts";
import { type OwnerLimits, parsePolicy, type Policy } from "../../src/identity/policy/mod.ts";
import { parseAuthorizedKeys } from "../../src/keys/authorized_keys.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import type { Signer } from "../../src/keys/types.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import {
  type Address,
  formatAddress,
  type Net,
  type NetConnection,
  NetError,
  type NetListener,
  type TcpAddress,
} from "../../src/platform/net.ts";
import type { ClientAuth } from "../../src/ssh/auth/client/types.ts";
import { type ClientConnection, connectSsh } from "../../src/ssh/client.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import type { Channel } from "../../src/ssh/connection/types.ts";
import { openTcp, RemoteForwards, type RemoteListener } from "../../src/ssh/forward/outgoing.ts";
import { openSession } from "../../src/ssh/session/client.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { noMetrics } from "../../src/telemetry/metrics.ts";

/** A network of one machine: what listens can be dialled, from any address. */
export class MemoryNet implements Net {
  readonly names = new Map<string, string[]>();
  /** What was asked of the name servers. */
  readonly looked: string[] = [];
  readonly #listeners = new Map<string, (connection: NetConnection) => void>();
  #lastPort = 40_000;

  dial(address: Address, options: { signal?: AbortSignal; from?: TcpAddress } = {}) {
    const { from = { transport: "tcp", hostname: "127.0.0.1", port: ++this.#lastPort } } = options;
    const arrive = this.#listeners.get(formatAddress(address)) ??
      this.#listeners.get(`0.0.0.0:${(address as TcpAddress).port}`);
    if (!arrive) {
      return Promise.reject(new NetError("refused", `nothing listens on ${formatAddress(address)}`));
    }
    const [near, far] = duplexPair();
    arrive(Object.assign(far, { local: address, remote: from }));
    return Promise.resolve(Object.assign(near, { local: from, remote: address }));
  }

  listen(address: Address): Promise<NetListener> {
    const tcp = address as TcpAddress;
    const real: TcpAddress = tcp.port === 0 ? { ...tcp, port: ++this.#lastPort } : tcp;
    const key = formatAddress(real);
    if (this.#listeners.has(key)) return Promise.reject(new NetError("in-use", `${key} is taken`));
    const queue: NetConnection[] = [];
    let wake: (() => void) | undefined;
    let closed = false;
    this.#listeners.set(key, (connection) => {
      queue.push(connection);
      wake?.();
    });
    const close = () => {
      closed = true;
      this.#listeners.delete(key);
      wake?.();
    };
    return Promise.resolve({
      address: real,
      close,
      async *[Symbol.asyncIterator]() {
        while (!closed) {
          while (queue.length > 0) yield queue.shift()!;
          if (!closed) await new Promise<void>((resolve) => wake = resolve);
        }
      },
    });
  }

  resolve(hostname: string): Promise<string[]> {
    this.looked.push(hostname);
    const found = this.names.get(hostname);
    return found ? Promise.resolve(found) : Promise.reject(new NetError("not-found", `no ${hostname}`));
  }
}

/** A key whose `line` goes into authorized_keys. */
export interface TestKey {
  readonly key: PrivateKey;
  readonly line: string;
  readonly fingerprint: string;
}

export async function testKey(comment = "test"): Promise<TestKey> {
  const key = await generatePrivateKey("ssh-ed25519", { comment });
  return {
    key,
    line: formatPublicKey(key.publicKey, comment),
    fingerprint: await key.publicKey.fingerprint(),
  };
}

/** A keyring of authorized_keys lines: what is no authority is an owner, except lines that say `user:` in front. */
export function keyringOf(lines: readonly string[], trustDomain = "localhost"): Keyring {
  const known = lines.flatMap((text) => {
    const owner = !text.startsWith("user:");
    const { keys, faults } = parseAuthorizedKeys(text.replace(/^user:/, ""));
    assert.deepEqual(faults, []);
    return keys.map((entry) => ({ entry, owner: owner && !entry.authority, source: "test" }));
  });
  return makeKeyring(known, trustDomain);
}

/** A record of a flow or an audit event. */
export type Line = { readonly event: string } & Record<string, unknown>;

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly net: MemoryNet;
  readonly address: TcpAddress;
  readonly hostKey: PrivateKey;
  readonly flows: Line[];
  readonly audit: Line[];
  /** Connects as a client. */
  connect(signer: Signer, options?: { from?: string }): Promise<TestClient>;
  /** The same with other credentials. */
  connectWith(auth: Omit<ClientAuth, "user">, options?: { from?: string }): Promise<TestClient>;
}

export interface TestGatewayOptions {
  /** As {@link keyringOf} takes them. */
  readonly keys: readonly string[];
  /** YAML. */
  readonly policy?: string;
  readonly owners?: OwnerLimits;
  readonly domain?: string;
  readonly clock?: Clock;
  readonly net?: MemoryNet;
  readonly port?: number;
  readonly loginGrace?: number;
  readonly maxStartups?: number;
  readonly maxClientsPerIdentity?: number;
  readonly ownAddresses?: readonly string[];
  /** Beside the keys. */
  readonly trust?: Partial<Trust>;
  readonly hostKey?: PrivateKey;
  readonly parts?: Partial<
    Pick<GatewayOptions, "authority" | "revocations" | "rotate" | "enrolment" | "https" | "hostSigners">
  >;
}

export function policyOf(text: string, owners?: OwnerLimits): Policy {
  return parsePolicy(text, { owners });
}

export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { keys, policy = "", owners, domain = "localhost", clock = systemClock, net = new MemoryNet() } =
    options;
  const hostKey = options.hostKey ?? await generatePrivateKey("ssh-ed25519");
  const flows: Line[] = [];
  const audit: Line[] = [];
  const gateway = await Gateway.create({
    config: {
      domain,
      loginGrace: options.loginGrace ?? 10_000,
      proxyFrom: [],
      limits: {
        maxClients: 100,
        maxClientsPerIdentity: options.maxClientsPerIdentity ?? 100,
        maxStartups: options.maxStartups ?? 100,
        maxStartupsPerSource: 100,
        penaltyExempt: [],
      },
    },
    crypto: nodeCrypto,
    clock,
    net,
    ownAddresses: () => options.ownAddresses ?? [],
    hostKeys: [hostKey],
    trust: { keyring: keyringOf(keys), ...options.trust },
    policy: policyOf(policy, owners),
    ...options.parts,
    metrics: noMetrics,
    writeFlow: (line) => flows.push(JSON.parse(line)),
    writeAudit: (line) => audit.push(JSON.parse(line)),
  });
  const address = await gateway.listen({
    transport: "tcp",
    hostname: "127.0.0.1",
    port: options.port ?? 15022,
  });
  let lastPort = 50_000;
  const connectWith: TestGateway["connectWith"] = async (auth, { from = "192.0.2.1" } = {}) => {
    const duplex = await net.dial(address, { from: { transport: "tcp", hostname: from, port: ++lastPort } });
    return await TestClient.with(duplex, auth);
  };
  return {
    gateway,
    net,
    address,
    hostKey,
    flows,
    audit,
    connect: (signer, options) =>
      connectWith({ credentials: [{ method: "publickey", signers: [signer] }] }, options),
    connectWith,
    async [Symbol.asyncDispose]() {
      await gateway.close("the test is over");
    },
  };
}

export class TestClient {
  readonly connection: ClientConnection;
  readonly router: Router;
  readonly #forwards: RemoteForwards;

  private constructor(connection: ClientConnection, router: Router, forwards: RemoteForwards) {
    this.connection = connection;
    this.router = router;
    this.#forwards = forwards;
  }

  /** @throws {SshError} when it is not let in */
  static over(duplex: PlainDuplex, signer: Signer): Promise<TestClient> {
    return TestClient.with(duplex, { credentials: [{ method: "publickey", signers: [signer] }] });
  }

  /** @throws {SshError} when it is not let in */
  static async with(duplex: PlainDuplex, auth: Omit<ClientAuth, "user">): Promise<TestClient> {
    let parts: [Router, RemoteForwards];
    const connection = await connectSsh(duplex, {
      crypto: nodeCrypto,
      verifyHostKey: () => true,
      auth: { ...auth, user: "test" },
      prepare(connection) {
        const router = new Router(connection);
        parts = [router, new RemoteForwards(connection, router)];
      },
    });
    return new TestClient(connection, ...parts!);
  }

  /** Registers with a service that sends back what it gets, in front of it `greeting`. */
  serve(host: string, port: number, greeting = ""): Promise<RemoteListener> {
    return this.#forwards.listenTcp({ host, port }, async (incoming) => {
      const channel = incoming.accept();
      await channel.write(encodeText(greeting));
      const buffer = new Uint8Array(1024);
      for (let count; (count = await channel.read(buffer).catch(() => null)) !== null;) {
        await channel.write(buffer.subarray(0, count));
      }
      await channel.closeWrite();
      channel.close();
    });
  }

  open(host: string, port: number): Promise<Channel> {
    return openTcp(this.connection, { host, port });
  }

  /** Sends `text` to a name and port and resolves to all that comes back. */
  async ask(host: string, port: number, text = ""): Promise<string> {
    const channel = await this.open(host, port);
    await channel.write(encodeText(text));
    await channel.closeWrite();
    const answer = await readText(channel);
    channel.close();
    return answer;
  }

  /** Runs a command of the gateway. */
  async run(
    command: string,
    input = "",
  ): Promise<{ readonly out: string; readonly err: string; readonly code: number }> {
    const program = await (await openSession(this.connection)).exec(command);
    if (input !== "") await program.stdin.write(encodeText(input));
    await program.stdin.close();
    const [out, err, status] = await Promise.all([
      readText(program.stdout),
      readText(program.stderr),
      program.status,
    ]);
    return { out, err, code: "code" in status ? status.code : -1 };
  }

  close(): void {
    this.connection.close();
  }
}

export async function readText(from: { read(into: Uint8Array<ArrayBuffer>): Promise<number | null> }) {
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let count; (count = await from.read(buffer)) !== null;) text += decodeText(buffer.subarray(0, count));
  return text;
}
