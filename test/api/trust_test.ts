import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { parseKrl } from "../../src/cert/krl.ts";
import { HOST_KEY, NOBODYS_CERTIFICATE, scene, USER_KEY } from "./scene.ts";

Deno.test("anyone learns whom to trust, as JSON and as the files that stock programs read", async () => {
  const { send, audit } = scene();
  const answer = await (await send("GET /api/v1/ca")).json();
  const known = `@cert-authority *.mesh.example ${HOST_KEY}`;
  assert.deepEqual(answer, {
    ssh: { user: [USER_KEY], host: [HOST_KEY] },
    x509: ["PEM of the root\n"],
    known_hosts: [known],
    revocations: answer.revocations,
  });
  const files = [
    ["user.pub", `${USER_KEY}\n`],
    ["host.pub", `${HOST_KEY}\n`],
    ["x509.pem", "PEM of the root\n"],
    ["known_hosts", `${known}\n`],
  ];
  for (const [name, text] of files) assert.equal(await (await send(`GET /api/v1/ca/${name}`)).text(), text);
  assert.deepEqual(audit, []);
});

Deno.test("what anyone may read is read whatever credential comes along: it is not even looked at", async () => {
  const { send, audit } = scene();
  assert.equal((await send("GET /api/v1/krl", { as: "wrong" })).status, 200);
  assert.deepEqual(audit, []);
});

Deno.test("what has not changed is not sent again, and a revocation changes it", async () => {
  const { send } = scene();
  for (const path of ["/api/v1/ca", "/api/v1/krl"]) {
    const first = await send(`GET ${path}`);
    await first.body?.cancel();
    const etag = first.headers.get("etag")!;
    assert.equal(first.headers.get("cache-control"), "no-cache");
    for (const known of [etag, `"x", W/${etag}`]) {
      const again = await send(`GET ${path}`, { headers: { "if-none-match": known } });
      assert.deepEqual([again.status, await again.text(), again.headers.get("etag")], [304, "", etag]);
    }
    const revocation = { kind: "key-id", key_id: `of ${path}` };
    await send("POST /api/v1/revocations", { as: "root", body: { revocation } });
    const changed = await send(`GET ${path}`, { headers: { "if-none-match": etag } });
    await changed.body?.cancel();
    assert.equal(changed.status, 200, path);
  }
});

Deno.test("an identity that is revoked changes the word for revocations, though no list of keys tells of it", async () => {
  const { send } = scene();
  const word = async () => (await (await send("GET /api/v1/ca")).json()).revocations;
  const before = await word();
  const revocation = { kind: "identity", issuer: "https://id.mycorp.com", subject: "nobody" };
  assert.equal((await send("POST /api/v1/revocations", { as: "root", body: { revocation } })).status, 204);
  assert.notEqual(await word(), before);
});

Deno.test("the revocation list is one that stock programs read", async () => {
  const { send, authority } = scene();
  await authority.revoke({ kind: "key-id", keyId: "ann" }, { name: "root", remote: "" });
  const response = await send("GET /api/v1/krl");
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  const krl = parseKrl(new Uint8Array(await response.arrayBuffer()));
  assert.deepEqual(krl.certificates[0].keyIds, ["ann"]);
});

Deno.test("what an administrator revokes is listed with who did it and why", async () => {
  const { send } = scene();
  const revocations = [
    { kind: "serial", serial: "123" },
    { kind: "x509-serial", serial: "01ab" },
    { kind: "key-id", key_id: "ann" },
    { kind: "key", key: USER_KEY },
    { kind: "identity", issuer: "https://id.mycorp.com", subject: "gone" },
  ];
  for (const revocation of revocations) {
    const response = await send("POST /api/v1/revocations", {
      as: "root",
      body: { revocation, reason: "left" },
    });
    assert.deepEqual([response.status, await response.text()], [204, ""]);
  }
  const listed = await (await send("GET /api/v1/revocations", { as: "root" })).json();
  assert.deepEqual(listed, {
    revocations: revocations.map((revocation) => ({
      revocation,
      by: "root@mycorp.com",
      at: "2026-08-01T12:00:00.000Z",
      reason: "left",
    })),
    x509_serials: ["01ab"],
  });
});

Deno.test("a gateway revokes for whoever asked it, and an administrator only in the own name", async () => {
  const { send, authority } = scene();
  const body = { revocation: { kind: "serial", serial: "1" }, by: "ann" };
  assert.equal((await send("POST /api/v1/revocations", { certificate: true, body })).status, 204);
  assert.equal(authority.records[0].by, "ann by gw1.mesh.example");
  assert.equal((await send("POST /api/v1/revocations", { as: "root", body })).status, 403);
});

Deno.test("what a gateway enrolled is its own: revoked under its name, and read by it as it was written", async () => {
  const { send, authority } = scene();
  const revocation = { kind: "identity", issuer: "enrolled", subject: "SHA256:web" };
  const own = { revocation: { ...revocation, issuer: "enrolled" }, by: "ann" };
  assert.equal((await send("POST /api/v1/revocations", { certificate: true, body: own })).status, 204);
  assert.deepEqual(authority.records[0].revocation, { ...revocation, issuer: "enrolled:gw1.mesh.example" });
  const listed = async (how: { certificate?: boolean; as?: string }) =>
    (await (await send("GET /api/v1/revocations", how)).json()).revocations[0].revocation.issuer;
  assert.equal(await listed({ certificate: true }), "enrolled");
  assert.equal(await listed({ as: "root" }), "enrolled:gw1.mesh.example");
});

Deno.test("certificates of a bearer are withdrawn by a gateway for its own, by an administrator for anybody", async () => {
  const { send, authority } = scene();
  const path = "POST /api/v1/withdrawals";
  const body = { issuer: "enrolled", subject: "SHA256:web", reason: "left" };
  const forAnn = { ...body, by: "ann" };
  assert.equal((await send(path, { certificate: true, body: forAnn })).status, 204);
  assert.equal((await send(path, { as: "root", body })).status, 204);
  assert.equal((await send(path, { certificate: true, body })).status, 403);
  assert.equal((await send(path, { as: "root", body: forAnn })).status, 403);
  assert.equal((await send(path, { as: "ann", body })).status, 403);
  assert.deepEqual(authority.withdrawn, [
    ["enrolled:gw1.mesh.example", "SHA256:web", "ann by gw1.mesh.example", "left"],
    ["enrolled", "SHA256:web", "root@mycorp.com", "left"],
  ]);
});

Deno.test("an administrator rotates roots, and nobody else does", async () => {
  const { send, authority } = scene();
  const path = "POST /api/v1/ca/rotations";
  assert.equal((await send(path, { as: "root", body: { kind: "host" } })).status, 204);
  assert.equal((await send(path, { as: "root", body: { kind: "x509", overlap: 0 } })).status, 204);
  assert.equal((await send(path, { as: "root", body: { kind: "user", overlap: "1h30m" } })).status, 204);
  assert.deepEqual(authority.rotations, [["host", undefined], ["x509", 0], ["user", 5_400_000]]);
  assert.equal((await send(path, { as: "ann", body: { kind: "host" } })).status, 403);
  assert.equal((await send(path, { certificate: true, body: { kind: "host" } })).status, 403);
  assert.equal((await send(path, { as: "root", body: { kind: "dns" } })).status, 400);
  const { send: elsewhere } = scene({ rotate: undefined });
  assert.equal((await elsewhere(path, { as: "root", body: { kind: "host" } })).status, 404);
  assert.equal(authority.rotations.length, 3);
});

Deno.test("a revoked identity gets in nowhere, by token or by certificate", async () => {
  const { send, authority, audit } = scene();
  const by = { name: "root", remote: "" };
  assert.equal((await send("GET /api/v1/whoami", { as: "gone" })).status, 200);
  await authority.revoke({ kind: "identity", issuer: "https://id.mycorp.com", subject: "gone" }, by);
  assert.equal((await send("GET /api/v1/whoami", { as: "gone" })).status, 401);
  assert.equal((await send("GET /api/v1/whoami", { as: "ann" })).status, 200);
  assert.equal((await send("GET /api/v1/whoami", { certificate: true })).status, 200);
  await authority.revoke({ kind: "x509-serial", serial: "01ab" }, by);
  const response = await send("GET /api/v1/whoami", { certificate: true });
  assert.equal(response.status, 401);
  assert.match((await response.json()).detail, /revoked/);
  assert.match(String(audit.at(-1)!.reason), /01ab is revoked/);
});

Deno.test("a key that is revoked gets in by no certificate either", async () => {
  const { send, authority } = scene();
  await authority.revoke({ kind: "key", key: HOST_KEY }, { name: "root", remote: "" });
  const response = await send("GET /api/v1/whoami", { certificate: true });
  assert.equal(response.status, 401);
  assert.match((await response.json()).detail, /revoked/);
});

Deno.test("each credential leaves one audit record, and the token is in none", async () => {
  const { send, audit, handle } = scene();
  await send("GET /api/v1/whoami", { as: "ann" });
  await send("GET /api/v1/whoami", { as: "eyJhbGciOi" });
  await send("GET /api/v1/whoami", { certificate: true });
  const request = new Request("https://ca.mesh.example/api/v1/whoami");
  const remote = { transport: "tcp", hostname: "2001:db8::1", port: 7 } as const;
  const refused = await handle({ request, remote, clientCertificates: [NOBODYS_CERTIFICATE] });
  assert.equal(refused.status, 401);
  const short = audit.map((
    { event, method, reason, claimed, remote },
  ) => [event, method, reason, claimed, remote]);
  assert.deepEqual(short, [
    ["auth.accepted", "bearer", undefined, undefined, "192.0.2.7:40100"],
    ["auth.refused", "bearer", "signature: it is wrong", "eve of https://id.mycorp.com", "192.0.2.7:40100"],
    ["auth.accepted", "certificate", undefined, undefined, "192.0.2.7:40100"],
    ["auth.refused", "certificate", "it names nobody", undefined, "[2001:db8::1]:7"],
  ]);
  assert.ok(!JSON.stringify(audit).includes("eyJhbGciOi"));
});

Deno.test("whoami tells who one is, with the groups of the policy", async () => {
  const { send } = scene();
  assert.deepEqual(await (await send("GET /api/v1/whoami", { as: "ann" })).json(), {
    name: "ann@mycorp.com",
    kind: "jwt",
    issuer: "https://id.mycorp.com",
    subject: "ann",
    owner: false,
    email: "ann@mycorp.com",
    groups: ["sre"],
    from: "192.0.2.7:40100",
  });
});

Deno.test("a body that comes without its length is cut off where it is too large", async () => {
  const { handle, options } = scene();
  assert.ok(options.tokens);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 8192;
      controller.enqueue(encodeText(" ".repeat(8192)));
    },
  });
  const request = new Request("https://ca.mesh.example/api/v1/certs/ssh", {
    method: "POST",
    headers: { authorization: "Bearer ann", "content-type": "application/json" },
    body,
  });
  const response = await handle({ request, remote: { transport: "tcp", hostname: "192.0.2.7", port: 1 } });
  assert.equal(response.status, 413);
  assert.ok(sent < 100_000, `${sent} bytes were taken`);
});
