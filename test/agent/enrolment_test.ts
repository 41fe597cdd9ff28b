/** An agent with a token or a join token at a gateway in memory: what is sent to whom, what is kept, what is renewed. */
import assert from "node:assert/strict";
import { keepCertificates } from "../../src/agent/certificates.ts";
import { AgentCredentials, type CredentialOptions } from "../../src/agent/credentials.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import type { AgentError } from "../../src/agent/exit_codes.ts";
import { GatewayLink, type LinkContext } from "../../src/agent/gateway_link.ts";
import { GatewayTrust, type TrustAnchors } from "../../src/agent/gateway_trust.ts";
import { parseJoinToken } from "../../src/agent/join_token.ts";
import { OwnHostKey } from "../../src/agent/own_host_key.ts";
import type { TokenSource } from "../../src/agent/token_source.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { readableFiles } from "../../src/deno/readable_files.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { deadline, waitUntil } from "../support/wait.ts";
import { FakeGateway, gatewayKey, hostAuthority, memoryState } from "./fake_gateway.ts";

const gateway = { hostname: "gw.mesh", port: 15022 };
const never = new AbortController().signal;
const gatewayPrint = await gatewayKey.publicKey.fingerprint();
const authorityPrint = await hostAuthority.publicKey.fingerprint();

function joinToken(id = "id1", hosts = [gatewayPrint]) {
  const content = { i: id, s: `secret-of-${id}`, n: "web", h: hosts };
  return parseJoinToken(`sshm1.${encodeBase64Url(encodeText(JSON.stringify(content)))}`);
}

interface SceneOptions extends Partial<Pick<CredentialOptions, "token" | "join" | "audience">> {
  readonly anchors?: Partial<TrustAnchors>;
  readonly fake?: FakeGateway;
  readonly clock?: FakeClock;
  readonly state?: ReturnType<typeof memoryState>;
  /** `--identity` */
  readonly identity?: string;
}

/** An agent as the command makes it, short of its server. */
function scene(options: SceneOptions = {}) {
  const { token, join, audience, clock = new FakeClock(), state = memoryState() } = options;
  const fake = options.fake ?? new FakeGateway(clock);
  const events: AgentEvent[] = [];
  const log = (event: AgentEvent) => void events.push(event);
  const joinAnchor = join && { joinToken: join };
  const trust = new GatewayTrust(
    { fingerprints: [], ...joinAnchor, ...options.anchors },
    state,
    () => clock.now(),
    log,
  );
  const credentials = new AgentCredentials({
    identities: { files: readableFiles, path: options.identity, home: "/nowhere", state, log },
    trust,
    state,
    clock,
    log,
    token,
    audience,
    join,
  });
  const context: LinkContext = {
    net: fake.net,
    clock,
    crypto: nodeCrypto,
    trust,
    log,
    credentials: (gateway, signal) => credentials.forDial(gateway, signal),
    user: "app",
    instance: "instance-1",
    exposures: [{ port: 22, target: "ssh" }],
    private: false,
    allowDial: [],
    onConnection: (_, connection) => connection.accept().close(),
    dialPolicy: {},
  };
  const open = () => GatewayLink.open(gateway, context, never);
  return { fake, clock, state, events, trust, credentials, context, open, log };
}

async function closed(link: GatewayLink): Promise<void> {
  link.close();
  await link.closed;
}

function source(read: (audience: string) => string | Promise<string>): TokenSource {
  return { label: "--token-file /token", read: async (audience) => await read(audience) };
}

const believed = { fingerprints: [gatewayPrint] };

Deno.test("with a token the agent makes a key, logs in by the token, and registers under its own name", async () => {
  const audiences: string[] = [];
  const token = source((audience) => (audiences.push(audience), "token-1"));
  const { fake, open, state } = scene({ token, anchors: believed });
  fake.tokens.add("token-1");
  const link = await open();
  assert.deepEqual(fake.tried, ["password token-1"]);
  assert.deepEqual(audiences, ["ssh://gw.mesh"]);
  assert.deepEqual(fake.registered, ["localhost:22"]);
  assert.match(state.text("agent_id_ed25519"), /OPENSSH PRIVATE KEY/);
  await closed(link);
  await fake.close();
});

Deno.test("--token-audience is what tokens are asked for", async () => {
  const audiences: string[] = [];
  const token = source((audience) => (audiences.push(audience), "t"));
  const { fake, open } = scene({ token, anchors: believed, audience: "mesh" });
  fake.tokens.add("t");
  await closed(await open());
  assert.deepEqual(audiences, ["mesh"]);
  await fake.close();
});

Deno.test("the token is read anew for each dial", async () => {
  let count = 0;
  const { fake, open } = scene({ token: source(() => `token-${++count}`), anchors: believed });
  for (const one of ["token-1", "token-2"]) {
    fake.tokens.add(one);
    await closed(await open());
    fake.tokens.delete(one);
  }
  assert.deepEqual(fake.tried, ["password token-1", "password token-2"]);
  await fake.close();
});

// Trust × credential: what comes of the first dial, and what the gateway saw.
type Outcome = "in" | "unknownGateway" | "hostKey";
const TRUST: readonly [
  what: string,
  anchors: (impostor: string) => Partial<TrustAnchors>,
  honest: Outcome,
  impostor: Outcome,
][] = [
  ["nothing known", () => ({}), "unknownGateway", "unknownGateway"],
  ["--gateway-key", () => believed, "in", "hostKey"],
  ["--gateway-key of somebody else", (other) => ({ fingerprints: [other] }), "hostKey", "in"],
  [
    "known_hosts without a line",
    () => ({
      knownHosts: { paths: ["/k"], hosts: { entries: [], faults: [] } },
    }),
    "unknownGateway",
    "unknownGateway",
  ],
];

for (const [what, anchors, honest, impostor] of TRUST) {
  for (const who of ["the gateway", "somebody in between"] as const) {
    const expected = who === "the gateway" ? honest : impostor;
    Deno.test(`a token and ${what}: ${who} ${expected === "in" ? "gets it" : "gets nothing"} on the first dial`, async () => {
      const other = await generatePrivateKey("ssh-ed25519");
      const { fake, open } = scene({
        token: source(() => "token-1"),
        anchors: anchors(await other.publicKey.fingerprint()),
      });
      if (who === "somebody in between") fake.hostKey = other;
      fake.tokens.add("token-1");
      if (expected === "in") await closed(await open());
      else await assert.rejects(open(), { name: "AgentError", reason: expected });
      await fake.close();
      assert.deepEqual(fake.tried, expected === "in" ? ["password token-1"] : []);
    });
  }
}

Deno.test("a key that was pinned because it was the first does not get a token later either", async () => {
  const state = memoryState();
  const first = scene({ state });
  const key = await generatePrivateKey("ssh-ed25519");
  first.fake.keys.push(key.publicKey);
  await first.trust.verify(gateway, {
    algorithm: "",
    blob: gatewayKey.publicKey.blob,
    key: gatewayKey.publicKey,
  });
  let asked = false;
  const { fake, open } = scene({ state, token: source(() => (asked = true, "token-1")) });
  await assert.rejects(open(), { reason: "unknownGateway", message: /--known-hosts or --gateway-key/ });
  assert.deepEqual([asked, fake.tried], [false, []]);
});

Deno.test("a token that is refused is told by its source, its expiry and its audience, never by itself", async () => {
  const claims = encodeBase64Url(
    encodeText(JSON.stringify({ exp: Date.parse("2026-08-01T11:00:00Z") / 1000 })),
  );
  const token = `header.${claims}.signature`;
  const { fake, open, events } = scene({ token: source(() => token), anchors: believed });
  await assert.rejects(open(), (error: AgentError) => {
    assert.equal(error.reason, "credential");
    assert.match(error.message, /--token-file \/token, which expired at 2026-08-01T11:00:00.000Z/);
    assert.match(error.message, /audience ssh:\/\/gw\.mesh\?/);
    assert.ok(!`${error.message}${JSON.stringify(events)}`.includes("signature"));
    return true;
  });
  await fake.close();
});

/** Starts what keeps certificates for a link; `stop` ends it. */
function certifying(
  { state, clock, log, credentials }: ReturnType<typeof scene>,
  link: GatewayLink,
  host?: OwnHostKey,
) {
  const life = new AbortController();
  const done = credentials.certifiedKey().then((loginKey) =>
    keepCertificates(link, {
      hostKey: host,
      loginKey,
      state,
      clock,
      random: () => 0,
      log,
      said: new Set(),
      signal: life.signal,
    })
  );
  return { stop: () => (life.abort(new Error("the test is over")), done) };
}

const issued = (events: readonly AgentEvent[], role: "host" | "user") =>
  events.filter((event) => event.event === "certificate" && event.role === role);

Deno.test("both certificates are got after registering, and kept with the gateway they are from", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  const host = await OwnHostKey.load(one.state);
  const link = await one.open();
  const work = certifying(one, link, host);
  await waitUntil(
    "two certificates",
    () => one.events.filter(({ event }) => event === "certificate").length === 2,
  );
  await waitUntil("two files", () => one.state.files.size === 4);
  for (
    const [file, names] of [
      ["agent_login-cert.pub", ["web@prod.mesh"]],
      ["agent_host_ed25519_key-cert.pub", ["web.prod.svc.mesh"]],
    ] as const
  ) {
    const [, , comment] = one.state.text(file).trim().split(" ");
    assert.equal(comment, "gw.mesh:15022");
    assert.ok(
      issued(one.events, file.includes("host") ? "host" : "user").some((event) =>
        event.event === "certificate" && event.principals.join() === names.join()
      ),
    );
  }
  assert.ok(host.signer(one.clock.now()).certificate);
  assert.equal(host.signer(one.clock.now() + 601_000).certificate, undefined);
  await work.stop();
  await closed(link);
  await one.fake.close();
  // The next process has it from the start.
  assert.ok((await OwnHostKey.load(one.state)).signer(one.clock.now()).certificate);
});

Deno.test("certificates are renewed at two thirds, for new connections, and nothing is dropped", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  one.fake.lifetime = 3600;
  const host = await OwnHostKey.load(one.state);
  const link = await one.open();
  const work = certifying(one, link, host);
  await waitUntil("the first one", () => issued(one.events, "host").length === 1);
  await waitUntil("its use", () => host.signer(one.clock.now()).certificate !== undefined);
  const before = host.signer(one.clock.now());
  let ended = false;
  link.closed.then(() => ended = true);
  await one.clock.advance(2_399_000);
  assert.equal(issued(one.events, "host").length, 1);
  await one.clock.advance(2_000);
  await waitUntil("the second one", () => issued(one.events, "host").length === 2);
  await waitUntil("its use", () => host.signer(one.clock.now()) !== before);
  assert.notDeepEqual(
    parseCertificate(host.signer(one.clock.now()).certificate!).serial,
    parseCertificate(before.certificate!).serial,
  );
  assert.equal(ended, false);
  assert.equal(one.fake.guests.length, 1);
  await work.stop();
  await closed(link);
  await one.fake.close();
});

Deno.test("when another authority signs, the host certificate is renewed before its time; other news renews nothing", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  const host = await OwnHostKey.load(one.state);
  const link = await one.open();
  const work = certifying(one, link, host);
  await waitUntil("the first one", () => issued(one.events, "host").length === 1);
  await waitUntil("its use", () => host.isSignedBy(hostAuthority.publicKey));
  one.fake.announceTrust();
  await waitUntil("the question", () => one.fake.commands.includes("ca host"));
  const next = await generatePrivateKey("ssh-ed25519");
  one.fake.hostAuthority = next;
  await waitUntil("the second question", () => {
    one.fake.announceTrust();
    return one.fake.commands.filter((command) => command === "ca host").length >= 2;
  });
  await waitUntil("the next certificate", async () => {
    await one.clock.advance(1);
    return host.isSignedBy(next.publicKey);
  });
  assert.equal(issued(one.events, "host").length, 2);
  assert.equal(issued(one.events, "user").length, 1);
  await work.stop();
  await closed(link);
  await one.fake.close();
});

Deno.test("news of a gateway is heard by all who listen, also by who comes late", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  const link = await one.open();
  const heard: string[] = [];
  link.onTrustChange(() => heard.push("first"));
  one.fake.announceTrust();
  await waitUntil("the news", () => heard.length === 1);
  link.onTrustChange(() => heard.push("late"));
  one.fake.announceTrust();
  await waitUntil("the next news", () => heard.length === 4);
  assert.deepEqual(heard, ["first", "late", "first", "late"]);
  await closed(link);
  await one.fake.close();
});

Deno.test("an authority that is away is asked again and again: a warning, and one more when the certificate expires", async () => {
  const one = scene({ anchors: believed, token: source(() => "t") });
  one.fake.tokens.add("t");
  const host = await OwnHostKey.load(one.state);
  const link = await one.open();
  const work = certifying(one, link, host);
  await waitUntil("the first one", () => issued(one.events, "host").length === 1);
  await waitUntil("its use", () => host.signer(one.clock.now()).certificate !== undefined);
  one.fake.answers.set("cert --host", { err: "the authority cannot be reached\n", exit: 69 });
  const warnings = () =>
    one.events.flatMap((event) =>
      event.event === "warning" && /the host key/.test(event.message) ? [event.message] : []
    );
  // Each try goes over the wire, which a fake clock does not move: so in small steps.
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 4_000) {
      await one.clock.advance(Math.min(left, 4_000));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  await pass(450_000);
  const tries = () => one.fake.commands.filter((command) => command === "cert --host").length;
  await waitUntil("several tries", () => tries() >= 4);
  assert.equal(warnings().length, 1);
  assert.match(warnings()[0], /cannot be reached; the one there is expires at 2026-08-01T12:10:00/);
  assert.ok(host.signer(one.clock.now()).certificate, "in use while it is valid");
  await pass(500_000);
  await waitUntil("the second warning", () => warnings().length === 2);
  assert.match(warnings()[1], /expired at/);
  assert.equal(host.signer(one.clock.now()).certificate, undefined);
  one.fake.answers.delete("cert --host");
  await pass(300_000);
  await waitUntil("a new one", () => host.signer(one.clock.now()).certificate !== undefined);
  await work.stop();
  await closed(link);
  await one.fake.close();
});

Deno.test("a gateway that gives none is told of once, at the level of information", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  for (const command of ["cert", "cert --host"]) {
    one.fake.answers.set(command, { err: "no rule allows it\n", exit: 77 });
  }
  const link = await one.open();
  const work = certifying(one, link, await OwnHostKey.load(one.state));
  const told = () =>
    one.events.filter((event) => event.event === "info" && /no rule allows it/.test(event.message));
  await waitUntil("both sentences", () => told().length === 2);
  for (let minutes = 0; minutes < 40; minutes += 5) await one.clock.advance(300_000);
  await waitUntil("a second try", () => one.fake.commands.length >= 4);
  assert.equal(told().length, 2);
  assert.deepEqual(one.events.filter(({ event }) => event === "warning"), []);
  await work.stop();
  await closed(link);
  await one.fake.close();
});

Deno.test("what is no certificate, or another's, is not used", async () => {
  const one = scene({ token: source(() => "t"), anchors: believed });
  one.fake.tokens.add("t");
  const host = await OwnHostKey.load(one.state);
  one.fake.answers.set("cert --host", { out: "ssh-ed25519 AAAA\n" });
  one.fake.answers.set("cert", { out: one.state.text("agent_host_ed25519_key").slice(0, 40) });
  const link = await one.open();
  const work = certifying(one, link, host);
  await waitUntil("two warnings", () => one.events.filter(({ event }) => event === "warning").length === 2);
  assert.equal(host.signer(one.clock.now()).certificate, undefined);
  assert.ok(!one.state.files.has("agent_login-cert.pub"));
  await work.stop();
  await closed(link);
  await one.fake.close();
});

/** A token scene that has its certificate to log in with. */
async function certified(read: () => string): Promise<ReturnType<typeof scene>> {
  const one = scene({ token: source(read), anchors: believed });
  one.fake.tokens.add("t");
  const link = await one.open();
  const work = certifying(one, link);
  await waitUntil("the certificate", () => one.state.files.has("agent_login-cert.pub"));
  await work.stop();
  await closed(link);
  return one;
}

Deno.test("while no token can be had its certificate logs in, and after that nothing does", async () => {
  let away = false;
  const one = await certified(() => {
    if (away) throw new Error("the metadata server is away");
    return "t";
  });
  away = true;
  await closed(await one.open());
  assert.deepEqual(one.fake.tried, ["password t", "certificate"]);
  assert.ok(
    one.events.some((event) => event.event === "warning" && /metadata server is away/.test(event.message)),
  );
  await one.clock.advance(600_000);
  await assert.rejects(one.open(), { message: "the metadata server is away" });
  await one.fake.close();
});

Deno.test("a token that the gateway refuses has its certificate stand in", async () => {
  const one = await certified(() => "t");
  one.fake.tokens.clear();
  await closed(await one.open());
  assert.deepEqual(one.fake.tried.slice(1), ["password t", "certificate"]);
  await one.fake.close();
});

Deno.test("a token that says itself that it has expired goes after the certificate", async () => {
  const claims = encodeBase64Url(encodeText(JSON.stringify({ exp: 1 })));
  let token = "t";
  const one = await certified(() => token);
  token = `h.${claims}.s`;
  await closed(await one.open());
  assert.deepEqual(one.fake.tried.slice(1), ["certificate"]);
  await one.fake.close();
});

Deno.test("the certificate of one gateway is not shown to another", async () => {
  const one = await certified(() => "t");
  const other = { hostname: "other.mesh", port: 15022 };
  await closed(await GatewayLink.open(other, one.context, never));
  one.fake.tokens.clear();
  await assert.rejects(GatewayLink.open(other, one.context, never), { reason: "credential" });
  assert.ok(!one.fake.tried.includes("certificate"));
  await one.fake.close();
});

Deno.test("a credential that expired under a connection is renewed on one of its own; the connection stays", async () => {
  const jwt = (seconds: number) => `h.${encodeBase64Url(encodeText(JSON.stringify({ exp: seconds })))}.s`;
  const clock = new FakeClock();
  let token = jwt(clock.now() / 1000 + 60);
  const one = scene({ clock, token: source(() => token), anchors: believed });
  one.fake.tokens.add(token);
  const first = token;
  one.fake.expired = (guest) => guest.token === first && clock.now() > Date.parse("2026-08-01T12:01:00Z");
  const link = await one.open();
  await link.ask("krl", {});
  assert.equal(one.fake.guests.length, 1);
  await clock.advance(61_000);
  token = jwt(clock.now() / 1000 + 60);
  one.fake.tokens.add(token);
  await deadline(link.ask("krl", {}), "the answer");
  assert.deepEqual(one.fake.guests.map((guest) => guest.token), [first, token]);
  assert.deepEqual(one.fake.registered, ["localhost:22"]);
  await closed(link);
  await one.fake.close();
});

Deno.test("a refusal to a credential that is good is no reason to come again", async () => {
  const one = scene({
    token: source(() => `h.${encodeBase64Url(encodeText('{"exp":9999999999}'))}.s`),
    anchors: believed,
  });
  one.fake.tokens.add(`h.${encodeBase64Url(encodeText('{"exp":9999999999}'))}.s`);
  one.fake.answers.set("krl", { exit: 77, err: "no\n" });
  const link = await one.open();
  await assert.rejects(link.ask("krl", {}), { name: "GatewayRefusal", message: "no" });
  assert.equal(one.fake.guests.length, 1);
  await closed(link);
  await one.fake.close();
});

Deno.test("a key that was named is asked about before the token is sent, and is the one that is certified", async () => {
  using folder = temporaryFolder();
  const named = await makeKey(folder, "named");
  const one = scene({ token: source(() => "t"), anchors: believed, identity: named.path });
  one.fake.tokens.add("t");
  const link = await one.open();
  assert.deepEqual(one.fake.tried, ["password t"], "a question is no try");
  const work = certifying(one, link);
  await waitUntil("the certificate", () => one.state.files.has("agent_login-cert.pub"));
  const { key } = parsePublicKeyLine(one.state.text("agent_login-cert.pub"));
  assert.equal(await key.fingerprint(), named.fingerprint);
  assert.ok(!one.state.files.has("agent_id_ed25519"));
  await work.stop();
  await closed(link);
  one.fake.keys.push(key);
  await closed(await one.open());
  assert.deepEqual(one.fake.tried.slice(1), ["publickey"]);
  await one.fake.close();
});

// Join tokens.

Deno.test("a join token enrols the agent's key once; the key logs in from then on, and the token is not sent again", async () => {
  const join = joinToken();
  const state = memoryState();
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await closed(await one.open());
  assert.deepEqual(one.fake.tried, [`password ${join.text.slice(0, 40)}`, "publickey"]);
  assert.deepEqual(one.fake.commands, ["join"]);
  assert.deepEqual(one.fake.registered, ["localhost:22"]);
  assert.ok(one.events.some((event) => event.event === "enrolled" && event.name === "web"));
  await one.fake.close();
  // Another process, with the flag and without it, that trusts nobody new.
  for (const again of [scene({ join, state, fake: one.fake }), scene({ state, fake: one.fake })]) {
    one.fake.tried.length = 0;
    await closed(await again.open());
    assert.deepEqual(one.fake.tried, ["publickey"]);
    assert.deepEqual(again.events.filter(({ event }) => event === "pinned" || event === "enrolled"), []);
  }
  assert.ok(![...state.files.keys()].some((file) => state.text(file).includes("secret-of")));
  assert.ok(!state.text("agent_enrolments.json").includes(join.text));
  await one.fake.close();
});

Deno.test("an agent that dies between using its token and noting that comes back with its key", async () => {
  const join = joinToken();
  const state = memoryState();
  const write = state.write;
  state.write = (name, content) =>
    name === "agent_enrolments.json" ? Promise.reject(new Error("killed")) : write(name, content);
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await assert.rejects(one.open(), { message: "killed" });
  state.write = write;
  one.fake.tried.length = 0;
  const again = scene({ join, state, fake: one.fake });
  await closed(await again.open());
  assert.deepEqual(one.fake.tried, ["publickey"]);
  await one.fake.close();
});

Deno.test("a join token that was used elsewhere is refused in a sentence without its secret", async () => {
  const join = joinToken();
  const one = scene({ join });
  await assert.rejects(one.open(), (error: AgentError) => {
    assert.equal(error.reason, "credential");
    assert.match(error.message, /the join token id1.*works once/);
    assert.ok(!error.message.includes("secret") && !error.message.includes(join.text));
    return true;
  });
  await one.fake.close();
});

Deno.test("a gateway that lets a join token in and does not enrol says why", async () => {
  const join = joinToken();
  const one = scene({ join });
  one.fake.joins.add(join.text);
  one.fake.answers.set("join", { exit: 77, err: "the name web is taken\n" });
  await assert.rejects(one.open(), { reason: "credential", message: /as web: the name web is taken/ });
  assert.ok(!one.state.files.has("agent_enrolments.json"));
  await one.fake.close();
});

Deno.test("a new join token enrols anew where the old enrolment was taken back", async () => {
  const state = memoryState();
  const first = scene({ join: joinToken("id1"), state });
  first.fake.joins.add(joinToken("id1").text);
  await closed(await first.open());
  first.fake.keys.length = 0;
  await assert.rejects(first.open(), {
    reason: "credential",
    message: /by the join token id1: was that taken back, .*\(--join\) enrols it again$/,
  });
  const second = scene({ join: joinToken("id2"), state, fake: first.fake });
  first.fake.joins.add(joinToken("id2").text);
  await closed(await second.open());
  assert.equal(JSON.parse(state.text("agent_enrolments.json"))["gw.mesh:15022"].token, "id2");
  await first.fake.close();
});

/** Hosts of the join token × what the gateway shows. */
const VOUCHED: readonly [
  what: string,
  hosts: string[],
  certificate: string[] | undefined,
  believed: boolean,
][] = [
  ["its key is named", [gatewayPrint], undefined, true],
  ["its authority is named, and certifies this name", [authorityPrint], ["gw.mesh"], true],
  ["its authority is named, and certifies another name", [authorityPrint], ["node.gw.mesh"], false],
  ["its authority is named, and it shows a plain key", [authorityPrint], undefined, false],
  ["somebody else's key is named", [`SHA256:${"x".repeat(43)}`], ["gw.mesh"], false],
];

for (const [what, hosts, names, isBelieved] of VOUCHED) {
  Deno.test(`a join token and its gateway: ${what}: ${isBelieved ? "it gets it" : "it gets nothing"}`, async () => {
    const join = joinToken("id1", hosts);
    const one = scene({ join });
    one.fake.joins.add(join.text);
    if (names) await one.fake.certifyItself(...names);
    if (isBelieved) {
      await closed(await one.open());
    } else {
      await assert.rejects(one.open(), { reason: "hostKey" });
      assert.deepEqual(one.fake.tried, []);
    }
    await one.fake.close();
  });
}

Deno.test("a join token that names no gateway needs --gateway-key or --known-hosts", async () => {
  const join = joinToken("id1", []);
  const one = scene({ join });
  one.fake.joins.add(join.text);
  await assert.rejects(one.open(), { reason: "unknownGateway" });
  const two = scene({ join, fake: one.fake, anchors: believed });
  await closed(await two.open());
  await one.fake.close();
});

Deno.test("an enrolled agent knows its gateway: another key is refused, also for the key's login", async () => {
  const join = joinToken("id1", [authorityPrint]);
  const state = memoryState();
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await one.fake.certifyItself("gw.mesh");
  await closed(await one.open());
  assert.match(state.text("agent_joined_known_hosts"), /^@cert-authority \[gw\.mesh\]:15022 /m);
  one.fake.hostKey = await generatePrivateKey("ssh-ed25519");
  const tried = one.fake.tried.length;
  await assert.rejects(scene({ state, fake: one.fake }).open(), { reason: "hostKey" });
  // One that the authority certifies for this name is the gateway, with a new key.
  await one.fake.certifyItself("gw.mesh");
  const again = scene({ state, fake: one.fake });
  await closed(await again.open());
  assert.equal(one.fake.tried.length, tried + 1);
  await one.fake.close();
});
