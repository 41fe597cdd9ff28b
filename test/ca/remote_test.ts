import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { AuthorityLink } from "../../src/ca/authority_link.ts";
import { type Memory, POLL_INTERVAL, RemoteAuthority } from "../../src/ca/remote.ts";
import { CaError, type CaErrorCode, type IssuedSshCertificate } from "../../src/ca/types.ts";
import { parseCertificate, signCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import type { HttpsRequest } from "../../src/platform/https.ts";
import { NetError } from "../../src/platform/net.ts";
import { gateway, identity, type Scene, scene } from "../api/scene.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";

const URL_OF_CA = "https://ca.mesh.example:15443";

interface Site {
  readonly remote: RemoteAuthority;
  readonly clock: FakeClock;
  readonly api: Scene;
  /** `as METHOD path`, with the status. */
  readonly requests: string[];
  readonly troubles: (string | undefined)[];
  /** How the next requests fail. */
  readonly failures: (Error | Response)[];
  away: boolean;
}

/** A remote authority whose other side is the API over a fake authority. */
function site(options: { memory?: Memory } = {}): Site {
  const clock = new FakeClock();
  const api = scene();
  const requests: string[] = [];
  const failures: (Error | Response)[] = [];
  const troubles: (string | undefined)[] = [];
  const made = { away: false } as Site;
  const fetch = (as: string) => async (url: string, { method, headers, body }: HttpsRequest) => {
    const path = url.slice(URL_OF_CA.length);
    const failure = made.away
      ? new NetError("refused", "ca.mesh.example: connection refused")
      : failures.shift();
    if (failure) {
      requests.push(`${as} ${method} ${path} fails`);
      if (failure instanceof Response) return failure;
      throw failure;
    }
    const response = await api.send(`${method} ${path}`, { certificate: as === "self", headers, body });
    requests.push(`${as} ${method} ${path} ${response.status}`);
    return response;
  };
  const link = new AuthorityLink({
    url: URL_OF_CA,
    clock,
    anyone: { fetch: fetch("anyone") },
    self: { fetch: fetch("self") },
  });
  const remote = new RemoteAuthority({
    link,
    clock,
    memory: options.memory,
    onTrouble: (error) => troubles.push(error?.message),
  });
  return Object.assign(made, { remote, clock, api, requests, troubles, failures });
}

function memory(): Memory & { text?: string } {
  return {
    read() {
      return Promise.resolve(this.text);
    },
    write(text) {
      this.text = text;
      return Promise.resolve();
    },
  };
}

/** Lets time pass until `condition` holds: what is awaited in between takes real time too. */
function passing(clock: FakeClock, what: string, condition: () => boolean): Promise<unknown> {
  return waitUntil(what, async () => {
    await clock.advance(500);
    return condition();
  });
}

const key = await generatePrivateKey("ssh-ed25519");
const by = { name: "ann", remote: "10.0.0.7:1" };

/** Lets the authority sign for real, so that what comes back can be checked. */
async function certify(role: "user" | "host", publicKey = key.publicKey): Promise<IssuedSshCertificate> {
  const blob = await signCertificate({
    role,
    publicKey,
    serial: 7n,
    keyId: "ann",
    principals: ["ann"],
    validAfter: 0n,
    validBefore: 2_000_000_000n,
  }, key);
  return { certificate: parseCertificate(blob), line: formatPublicKey(blob) };
}

Deno.test("certificates are asked for on behalf of whoever asked here, with the names that were judged here", async () => {
  const { remote, api, requests } = site();
  const asked = identity({
    groups: ["sre"],
    trustDomain: "mesh.example",
    fqdn: "ann.mesh.example",
    expiresAt: Date.parse("2026-08-01T13:00:00Z"),
    restrictions: { sourceAddresses: [], forceCommand: "ls", portForwarding: true },
    credential: { fingerprint: "SHA256:x", serial: "1", keyId: "k" },
    claims: { secret: true },
    owner: true,
  });
  // Claims and ownership are this gateway's business.
  const told = { ...asked, claims: {}, owner: false };
  const { authority } = api;
  authority.issueUser = async (request) => {
    authority.users.push(request);
    return await certify("user");
  };
  authority.issueHost = async (request) => {
    authority.hosts.push(request);
    return await certify("host");
  };
  const issued = await remote.issueUser({
    identity: asked,
    publicKey: key.publicKey,
    lifetime: 90_500,
    remote: "x",
  });
  assert.deepEqual([issued.certificate.serial, issued.certificate.keyId], [7n, "ann"]);
  const names = ["gw.mesh.example", "localhost"];
  await remote.issueHost({ identity: asked, publicKey: key.publicKey, names, gateway: true, remote: "x" });
  const csr = encodeText("a request");
  const x509 = await remote.issueX509({ identity: asked, csr, names: [], remote: "x" });
  assert.deepEqual(x509, {
    certificate: "PEM\n",
    chain: ["PEM of the root\n"],
    serial: "0c",
    expiresAt: Date.parse("2026-08-02T12:00:00Z"),
  });
  assert.deepEqual(authority.users.map(({ identity, lifetime }) => [identity, lifetime]), [[told, 90_000]]);
  const hosts = authority.hosts.map((
    { identity, names, gateway, lifetime },
  ) => [identity, names, gateway, lifetime]);
  assert.deepEqual(hosts, [[told, names, true, undefined]]);
  assert.deepEqual(authority.x509.map(({ csr, names }) => [csr, names]), [[csr, []]]);
  assert.deepEqual(requests, [
    "self POST /api/v1/certs/ssh 200",
    "self POST /api/v1/certs/ssh 200",
    "self POST /api/v1/certs/x509 200",
  ]);
});

Deno.test("a certificate for another key or role than was asked for is none", async () => {
  const other = (await generatePrivateKey("ssh-ed25519")).publicKey;
  for (
    const wrong of [certify("host"), certify("user", other), Promise.resolve({ line: "ssh-ed25519 AAAA" })]
  ) {
    const { remote, api } = site();
    api.authority.issueUser = () => wrong as Promise<IssuedSshCertificate>;
    const asked = remote.issueUser({ identity: identity(), publicKey: key.publicKey, remote: "x" });
    await assert.rejects(asked, { code: "unavailable", message: /something else/ });
  }
});

Deno.test("what the authority refuses is refused, and what it cannot do is unavailable", async () => {
  const cases: [Error | Response, CaErrorCode, RegExp][] = [
    [new CaError("refused", "the name has a comma"), "refused", /^the name has a comma$/],
    [new CaError("invalid", "the key is weak"), "invalid", /^the key is weak$/],
    [new Error("secret"), "unavailable", /ca\.mesh\.example.*unexpected/],
  ];
  for (const [error, code, message] of cases) {
    const { remote, api } = site();
    api.authority.error = error as Error;
    const asked = remote.issueX509({ identity: identity(), csr: encodeText("x"), names: [], remote: "x" });
    await assert.rejects(asked, { name: "CaError", code, message });
  }
  const answers: [Response, RegExp][] = [
    [new Response("<html>\nlogin", { status: 200 }), /not understood/],
    [new Response("\x1b[2Jgo away\n", { status: 403 }), /403 \\u\{1b\}\[2Jgo away$/],
    [new Response(null, { status: 302 }), /302/],
  ];
  for (const [answer, message] of answers) {
    const { remote, failures } = site();
    failures.push(answer);
    const asked = remote.issueX509({ identity: identity(), csr: encodeText("x"), names: [], remote: "x" });
    await assert.rejects(asked, { code: "unavailable", message });
  }
});

Deno.test("a gateway without the right 'assert' is told that it is the gateway which may not", async () => {
  const { remote, api } = site();
  const nobody = scene({ clientIdentity: () => ({ ...gateway, name: "gw2.mesh.example" }) });
  Object.assign(api, { send: nobody.send });
  const asked = remote.issueUser({ identity: identity(), publicKey: key.publicKey, remote: "x" });
  await assert.rejects(asked, { code: "unavailable", message: /does not accept this gateway: .*'assert'/ });
});

Deno.test("a request that does not get through is sent again, three times at most", async () => {
  const reset = () => new NetError("failed", "reset");
  const busy = () => new Response("", { status: 503 });
  for (
    const [failures, succeeds] of [[[reset(), busy()], true], [[reset(), reset(), busy()], false]] as const
  ) {
    const { remote, clock, requests, failures: next } = site();
    next.push(...failures);
    const asked = remote.revoke({ kind: "serial", serial: "1" }, by).then(() => true, (error) => error);
    await clock.advance(2000);
    const outcome = await asked;
    if (succeeds) assert.equal(outcome, true);
    else assert.equal(outcome.code, "unavailable");
    assert.equal(requests.filter((line) => line.startsWith("self POST /api/v1/revocations")).length, 3);
    assert.equal(clock.pending, 0);
  }
});

Deno.test("an authority that does not answer is given up after five seconds for each attempt", async () => {
  const clock = new FakeClock();
  const silent = {
    fetch: (_url: string, { signal }: HttpsRequest) =>
      new Promise<Response>((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
  };
  const link = new AuthorityLink({ url: URL_OF_CA, clock, anyone: silent, self: silent });
  const asked = link.send("/api/v1/ca", { as: "self" }).catch((error) => error);
  await clock.advance(16_250);
  const error = await asked;
  assert.deepEqual([error.code, error.message], [
    "unavailable",
    `the authority at ${URL_OF_CA} cannot be reached: it does not answer`,
  ]);
});

Deno.test("whom to trust and what is revoked comes from the authority, and is asked for once while it is fresh", async () => {
  const { remote, api, requests, clock } = site();
  await api.authority.revoke({ kind: "identity", issuer: "i", subject: "s" }, by);
  await api.authority.revoke({ kind: "x509-serial", serial: "0a" }, by);
  await api.authority.revoke({ kind: "key-id", keyId: "ann" }, by, "left");
  const { user, host, x509 } = await remote.authorities();
  const expected = await api.authority.authorities();
  assert.deepEqual([user, host].flat().map(({ blob }) => blob), [
    expected.user[0].blob,
    expected.host[0].blob,
  ]);
  assert.deepEqual(x509, expected.x509);
  const revoked = await remote.revoked();
  assert.deepEqual(revoked.krl.certificates[0].keyIds, ["ann"]);
  assert.ok(revoked.x509Serials.has("0a"));
  assert.ok(revoked.isIdentityRevoked({ issuer: "i", subject: "s" }));
  assert.ok(!revoked.isIdentityRevoked({ issuer: "i s", subject: "" }));
  assert.deepEqual(await remote.revocations(), api.authority.records);
  assert.match((await remote.knownHosts())[0], /^@cert-authority \*\.mesh\.example /);
  assert.deepEqual(requests, [
    "anyone GET /api/v1/ca 200",
    "anyone GET /api/v1/krl 200",
    "self GET /api/v1/revocations 200",
  ]);
  await clock.advance(POLL_INTERVAL);
  assert.equal(await remote.revoked(), revoked);
  assert.deepEqual(requests.slice(3), ["anyone GET /api/v1/ca 304"]);
});

Deno.test("who watches hears of a revocation within two seconds, for one small request at a time", async () => {
  const { remote, api, requests, clock } = site();
  let heard = 0;
  const stop = remote.watch(() => heard++);
  await passing(clock, "the first look", () => heard === 1);
  const began = clock.now();
  await passing(clock, "three looks", () => requests.length >= 6);
  assert.ok(clock.now() - began >= 2 * POLL_INTERVAL);
  assert.deepEqual(requests.slice(3, 6), Array(3).fill("anyone GET /api/v1/ca 304"));
  assert.equal(heard, 1);
  const before = await remote.revoked();
  await api.authority.revoke({ kind: "identity", issuer: "i", subject: "s" }, by);
  await passing(clock, "the news", () => heard === 2);
  assert.notEqual(await remote.revoked(), before);
  assert.ok((await remote.revoked()).isIdentityRevoked({ issuer: "i", subject: "s" }));
  stop();
  assert.equal(clock.pending, 0);
});

Deno.test("whoever revokes through it sees it at once, and the authority knows who it was", async () => {
  const { remote, api } = site();
  await remote.authorities();
  await remote.revoke({ kind: "key-id", keyId: "ann" }, by, "left");
  assert.deepEqual((await remote.revoked()).krl.certificates[0].keyIds, ["ann"]);
  assert.deepEqual([api.authority.records[0].by, api.authority.records[0].reason], [
    "ann by gw1.mesh.example",
    "left",
  ]);
});

Deno.test("an outage changes nothing about whom to trust, and is told of once", async () => {
  const world = site();
  const { remote, clock, troubles, requests } = world;
  let heard = 0;
  const stop = remote.watch(() => heard++);
  await passing(clock, "the first look", () => heard === 1);
  const { x509 } = await remote.authorities();
  world.away = true;
  await passing(clock, "some looks", () => requests.filter((line) => line.endsWith("fails")).length > 5);
  assert.deepEqual((await remote.authorities()).x509, x509);
  world.away = false;
  await passing(clock, "that it is back", () => troubles.length === 2);
  assert.deepEqual(troubles, [
    `the authority at ${URL_OF_CA} cannot be reached: ca.mesh.example: connection refused`,
    undefined,
  ]);
  stop();
  remote.close();
  assert.equal(clock.pending, 0);
});

Deno.test("what was heard is known after a restart while the authority is away, revocations too", async () => {
  const kept = memory();
  const first = site({ memory: kept });
  await first.api.authority.revoke({ kind: "identity", issuer: "i", subject: "s" }, by);
  await first.remote.authorities();
  const second = site({ memory: kept });
  second.away = true;
  assert.ok((await second.remote.revoked()).isIdentityRevoked({ issuer: "i", subject: "s" }));
  assert.deepEqual((await second.remote.authorities()).x509, ["PEM of the root\n"]);
  second.away = false;
  await second.clock.advance(POLL_INTERVAL);
  // What it is now counts more than what it was.
  assert.ok(!(await second.remote.revoked()).isIdentityRevoked({ issuer: "i", subject: "s" }));
});

Deno.test("who has never heard anything trusts nobody, and says why", async () => {
  for (const text of [undefined, "{", "{}"]) {
    const kept = memory();
    kept.text = text;
    const world = site({ memory: kept });
    world.away = true;
    await assert.rejects(world.remote.authorities(), { code: "unavailable", message: /cannot be reached/ });
    await assert.rejects(world.remote.revoked(), { code: "unavailable" });
  }
});

Deno.test("lists that are not understood replace nothing", async () => {
  const { remote, clock, failures, troubles } = site();
  await remote.authorities();
  const ssh = { user: ["ssh-dss AAAA"], host: [] };
  failures.push(Response.json({ ssh, x509: [], known_hosts: [], revocations: "another" }));
  await clock.advance(POLL_INTERVAL);
  assert.equal((await remote.authorities()).user.length, 1);
  assert.match(troubles[0]!, /not understood/);
});
