/** Whom the gateway's authority lets in on the built-in server, and how that ends when it is taken back. */
import assert from "node:assert/strict";
import { BuiltInServer } from "../../src/agent/built_in_server.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import { type AuthoritySource, GatewayAuthorities } from "../../src/agent/gateway_authorities.ts";
import { GatewayRefusal } from "../../src/agent/gateway_command.ts";
import type { LoginFiles } from "../../src/agent/login_files.ts";
import { ownPolicy } from "../../src/agent/own_policy.ts";
import { parsePrincipalGrant } from "../../src/agent/principals.ts";
import { decodeText } from "../../src/bytes/bytes.ts";
import {
  type CertificateFields,
  parseCertificate,
  signCertificate,
  withCertificate,
} from "../../src/cert/certificate.ts";
import { type Krl, writeKrl } from "../../src/cert/krl.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { denoNet } from "../../src/deno/net.ts";
import { parseAuthorizedKeys } from "../../src/keys/authorized_keys.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import type { PublicKey, Signer } from "../../src/keys/types.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type ClientConnection, connectSsh } from "../../src/ssh/client.ts";
import { openSession } from "../../src/ssh/session/client.ts";
import { deferred } from "../../src/streams/deferred.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { deadline, waitUntil } from "../support/wait.ts";
import { host as sessions, own } from "./session_server.ts";

const authority = await generatePrivateKey("ssh-ed25519");
const nextAuthority = await generatePrivateKey("ssh-ed25519");
const hostKey = await generatePrivateKey("ssh-ed25519");
const ann = await generatePrivateKey("ssh-ed25519");
const bob = await generatePrivateKey("ssh-ed25519");

/** A gateway to learn from, whose word can be changed. */
class Authority implements AuthoritySource {
  readonly gateway;
  readonly ours = true;
  readonly #end = deferred<Error | undefined>();
  readonly closed = this.#end.promise;
  userCas: PublicKey[] | undefined = [authority.publicKey];
  krl: Partial<Krl> = {};
  away?: Error;
  asked = 0;
  #listener?: () => void;

  constructor(hostname = "gw") {
    this.gateway = { hostname, port: 15022 };
  }

  ask(command: string) {
    assert.equal(command, "krl");
    this.asked++;
    return this.away ? Promise.reject(this.away) : Promise.resolve(writeKrl(this.krl));
  }

  askUserCas() {
    return Promise.resolve(this.userCas);
  }

  onTrustChange(listener: () => void) {
    this.#listener = listener;
  }

  announce() {
    this.#listener?.();
  }

  end() {
    this.#end.resolve(undefined);
  }
}

interface Scene extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly events: AgentEvent[];
  readonly authorities: GatewayAuthorities;
  /** Follows a gateway until the scene ends. */
  follow(source: Authority): Promise<void>;
  /** Logs in, or resolves to undefined. */
  logIn(signer: Signer, options?: { user?: string; from?: string }): Promise<ClientConnection | undefined>;
}

function makeScene(
  { lines = "", principals = ["group:sre"] }: { lines?: string; principals?: readonly string[] } = {},
): Scene {
  const clock = new FakeClock();
  const events: AgentEvent[] = [];
  const log = (event: AgentEvent) => void events.push(event);
  /** Nothing of it outlives a test. */
  const served = new Set<Promise<unknown>>();
  const authorities = new GatewayAuthorities({
    clock,
    random: () => 0,
    log,
    onChange: () => void served.add(server.judgeAnew()),
  });
  const files: LoginFiles = { keys: parseAuthorizedKeys(lines).keys, authorities: [] };
  const server: BuiltInServer = new BuiltInServer({
    policy: ownPolicy({
      account: own,
      findAccount: () => Promise.resolve(undefined),
      sessions,
      clock,
      hostKey: () => hostKey,
      files: () => Promise.resolve(files),
      gateway: authorities,
      principals: principals.map(parsePrincipalGrant),
      allowDial: [],
    }),
    crypto: nodeCrypto,
    // The protocol waits in real time: for keepalive, login grace, the answer to a refusal.
    clock: { ...systemClock, now: () => clock.now() },
    sessions,
    forwards: { net: denoNet, ownAddresses: () => [] },
    builtins: {},
    inherited: { PATH: Deno.env.get("PATH")! },
    log,
  });
  const life = new AbortController();
  const sources: Authority[] = [];
  return {
    clock,
    events,
    authorities,
    follow(source) {
      sources.push(source);
      return authorities.follow(source, life.signal);
    },
    async logIn(signer, { user = own.name, from = "192.0.2.7" } = {}) {
      const [near, far] = duplexPair();
      served.add(server.serve(far, { address: from, port: 4711 }, { signal: life.signal }));
      try {
        const client = await connectSsh(near, {
          crypto: nodeCrypto,
          verifyHostKey: () => true,
          auth: { user, credentials: [{ method: "publickey", signers: [signer] }] },
        });
        served.add(client.closed);
        return client;
      } catch {
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      life.abort(new Error("the test is over"));
      for (const source of sources) source.end();
      await Promise.all(served);
    },
  };
}

const START = new FakeClock().now() / 1000;

async function certificate(
  fields: Partial<CertificateFields> = {},
  by: Signer = authority,
  holder: Signer = ann,
): Promise<Signer> {
  const blob = await signCertificate({
    role: "user",
    publicKey: holder.publicKey,
    serial: 7n,
    keyId: "ann@mycorp.com",
    principals: ["ann@mycorp.com", "group:sre"],
    validAfter: BigInt(START - 60),
    validBefore: BigInt(START + 600),
    extensions: new Map([["permit-pty", ""]]),
    ...fields,
  }, by);
  return withCertificate(holder, blob);
}

const JUDGED: readonly [what: string, fields: Partial<CertificateFields>, from: string, admitted: boolean][] =
  [
    ["a principal that was named", {}, "192.0.2.7", true],
    ["the login name, which was not named", { principals: [own.name] }, "192.0.2.7", false],
    ["root", { principals: ["root"] }, "192.0.2.7", false],
    ["a longer name", { principals: ["group:sre2"] }, "192.0.2.7", false],
    ["another case", { principals: ["group:SRE"] }, "192.0.2.7", false],
    ["a host certificate", { role: "host", extensions: new Map() }, "192.0.2.7", false],
    [
      "the right source",
      { criticalOptions: new Map([["source-address", "192.0.2.0/24"]]) },
      "192.0.2.7",
      true,
    ],
    ["another source", { criticalOptions: new Map([["source-address", "10.0.0.0/8"]]) }, "192.0.2.7", false],
    ["a source nobody told", { criticalOptions: new Map([["source-address", "0.0.0.0/0"]]) }, "", false],
    ["an option that is not known", { criticalOptions: new Map([["moon", "full"]]) }, "192.0.2.7", false],
  ];

for (const [what, fields, from, admitted] of JUDGED) {
  Deno.test(`the gateway's authority signs for ${what}: ${admitted ? "let in" : "refused"}`, async () => {
    await using scene = makeScene();
    await scene.follow(new Authority());
    const connection = await scene.logIn(await certificate(fields), { from });
    assert.equal(connection !== undefined, admitted);
  });
}

Deno.test("without --allow-principal the gateway's authority opens nothing, whatever it signs", async () => {
  await using scene = makeScene({ principals: [] });
  await scene.follow(new Authority());
  const principals = ["group:sre", own.name, "root"];
  assert.equal(await scene.logIn(await certificate({ principals })), undefined);
});

Deno.test("a certificate's force-command is what runs, and what it does not permit is refused", async () => {
  await using scene = makeScene();
  await scene.follow(new Authority());
  const criticalOptions = new Map([["force-command", 'echo "forced: $SSH_ORIGINAL_COMMAND"']]);
  const connection = await scene.logIn(await certificate({ criticalOptions, extensions: new Map() }));
  const program = await (await openSession(connection!)).exec("rm -rf everything");
  const buffer = new Uint8Array(100);
  const count = await program.stdout.read(buffer);
  assert.equal(decodeText(buffer.subarray(0, count!)), "forced: rm -rf everything\n");
  await program.status;
  program.close();
  await assert.rejects(
    (await openSession(connection!)).exec("true", { pty: { term: "vt100", columns: 80, rows: 24 } }),
    { code: "request-refused" },
  );
  connection!.close();
});

/** What of a login can be revoked. */
const REVOKED: readonly [what: string, krl: () => Partial<Krl>, plainKey: boolean][] = [
  ["its serial", () => ({ certificates: [{ serials: [{ first: 7n, last: 7n }], keyIds: [] }] }), false],
  ["its key id", () => ({ certificates: [{ serials: [], keyIds: ["ann@mycorp.com"] }] }), false],
  ["its key", () => ({ keys: [ann.publicKey.blob] }), false],
  ["its authority", () => ({ keys: [authority.publicKey.blob] }), false],
  ["the plain key of authorized_keys", () => ({ keys: [ann.publicKey.blob] }), true],
];

for (const [what, krl, plainKey] of REVOKED) {
  Deno.test(`when the gateway revokes ${what}, the open login ends and the next is refused`, async () => {
    await using scene = makeScene({ lines: plainKey ? formatPublicKey(ann.publicKey) : "" });
    const gateway = new Authority();
    await scene.follow(gateway);
    const signer = plainKey ? ann : await certificate();
    const connection = await scene.logIn(signer);
    const other = await scene.logIn(
      await certificate({ serial: 8n, keyId: "bob@mycorp.com" }, authority, bob),
    );
    assert.ok(connection && other);
    gateway.krl = krl();
    gateway.announce();
    await deadline(connection.closed, "the end of the login", 5_000);
    assert.equal(await scene.logIn(signer), undefined);
    assert.ok(scene.events.some((event) => event.event === "ended" && event.reason === "revoked"));
    if (what !== "its authority") assert.equal(await state(other), "open");
  });
}

/** Whether the connection has ended by now. */
async function state(connection: ClientConnection): Promise<"open" | "ended"> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return await Promise.race([
    connection.closed.then(() => "ended" as const),
    Promise.resolve("open" as const),
  ]);
}

Deno.test("an authority that the gateway drops takes its logins along; a new one lets in", async () => {
  await using scene = makeScene();
  const gateway = new Authority();
  await scene.follow(gateway);
  const old = await scene.logIn(await certificate());
  gateway.userCas = [nextAuthority.publicKey, authority.publicKey];
  gateway.announce();
  await waitUntil("the new authority", () => scene.authorities.userCas.length === 2);
  assert.equal(await state(old!), "open");
  assert.ok(await scene.logIn(await certificate({}, nextAuthority)));
  gateway.userCas = [nextAuthority.publicKey];
  gateway.announce();
  await deadline(old!.closed, "the end of the login");
});

Deno.test("expiry ends nothing that is open, and nothing new begins", async () => {
  await using scene = makeScene();
  const gateway = new Authority();
  await scene.follow(gateway);
  const signer = await certificate();
  const connection = await scene.logIn(signer);
  await scene.clock.advance(601_000);
  gateway.announce();
  await waitUntil("the news", () => gateway.asked === 2);
  assert.equal(await state(connection!), "open");
  assert.equal(await scene.logIn(signer), undefined);
});

Deno.test("no certificate counts before its revocations are known; those who are in stay in when news fails", async () => {
  await using scene = makeScene();
  const gateway = new Authority();
  gateway.away = new GatewayRefusal("the authority cannot be reached", 69);
  await scene.follow(gateway);
  assert.equal(await scene.logIn(await certificate()), undefined);
  assert.ok(scene.events.some((event) => event.event === "warning" && /let nobody in/.test(event.message)));
  gateway.away = undefined;
  await scene.clock.advance(5_000);
  await waitUntil("the authority", () => scene.authorities.userCas.length === 1);
  const connection = await scene.logIn(await certificate());
  assert.ok(connection);
  gateway.away = new Error("the connection broke");
  gateway.announce();
  await waitUntil(
    "the second warning",
    () => scene.events.filter((event) => event.event === "warning").length === 2,
  );
  assert.equal(await state(connection), "open");
  assert.ok(await scene.logIn(await certificate()));
});

Deno.test("another gateway's authorities replace those of the one before, whose late news counts no more", async () => {
  await using scene = makeScene();
  const first = new Authority("first");
  const second = new Authority("second");
  second.userCas = [nextAuthority.publicKey];
  await scene.follow(first);
  await scene.follow(second);
  first.announce();
  await waitUntil("the late news", () => first.asked === 2);
  assert.equal(await scene.logIn(await certificate()), undefined);
  assert.ok(await scene.logIn(await certificate({}, nextAuthority)));
});

Deno.test("a gateway without authority for users lets nobody in, and that is said", async () => {
  await using scene = makeScene();
  const gateway = new Authority();
  gateway.userCas = undefined;
  await scene.follow(gateway);
  assert.equal(await scene.logIn(await certificate()), undefined);
  assert.ok(
    scene.events.some((event) => event.event === "warning" && /no authority for users/.test(event.message)),
  );
});

Deno.test("a certificate is parsed as the log names it", async () => {
  await using scene = makeScene();
  await scene.follow(new Authority());
  const signer = await certificate();
  await scene.logIn(signer);
  const { keyId, serial, principals } = parseCertificate(signer.certificate!);
  await waitUntil(
    "the line",
    () =>
      scene.events.some((event) =>
        event.event === "login" &&
        event.credential === `certificate "${keyId}" serial ${serial} as ${principals.at(-1)}`
      ),
  );
});
