/** Certificates of an agent with a token: what is kept, what is renewed. */
import assert from "node:assert/strict";
import { keepCertificates } from "../../src/agent/certificates.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import { GatewayLink } from "../../src/agent/gateway_link.ts";
import { OwnHostKey } from "../../src/agent/own_host_key.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { deadline, waitUntil } from "../support/wait.ts";
import { believed, closed, never, scene, source } from "./enrolment_scene.ts";
import { hostAuthority } from "./fake_gateway.ts";

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
