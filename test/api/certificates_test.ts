import assert from "node:assert/strict";
import { decodeText } from "../../src/bytes/bytes.ts";
import { CaError } from "../../src/ca/types.ts";
import { CSR, gateway, HOST_KEY, identity, scene, USER_KEY } from "./scene.ts";

const ssh = "POST /api/v1/certs/ssh";
const x509 = "POST /api/v1/certs/x509";

async function detail(response: Response): Promise<string> {
  return (await response.json()).detail;
}

Deno.test("a user's certificate is asked for with the identity, its groups of the policy, and where it came from", async () => {
  const { send, authority } = scene();
  assert.equal(
    (await send(ssh, { as: "ann", body: { public_key: `${USER_KEY} ann@laptop`, ttl: "10m" } })).status,
    200,
  );
  const [{ publicKey, ...request }] = authority.users;
  assert.deepEqual(request, {
    identity: identity({ groups: ["sre"] }),
    lifetime: 600_000,
    remote: "192.0.2.7:40100",
  });
  assert.equal(publicKey.type, "ssh-ed25519");
  await send(ssh, { as: "ann", body: { public_key: USER_KEY, ttl: 90 } });
  await send(ssh, { as: "ann", body: { public_key: USER_KEY } });
  assert.deepEqual(authority.users.map(({ lifetime }) => lifetime), [600_000, 90_000, undefined]);
});

Deno.test("a host's certificate is for all names that its asker holds and has the right to, or for those it says", async () => {
  const { send, authority, held } = scene();
  const body = { public_key: HOST_KEY, type: "host" };
  assert.equal((await send(ssh, { as: "ann", body })).status, 200);
  assert.equal((await send(ssh, { as: "ann", body: { ...body, names: ["WEB.mesh.example."] } })).status, 200);
  assert.deepEqual(authority.hosts.map(({ names }) => names), [["web.mesh.example"], ["web.mesh.example"]]);
  assert.equal(authority.hosts[0].gateway, false);
  held.length = 0;
  const response = await send(ssh, { as: "ann", body });
  assert.equal(response.status, 403);
  assert.match(await detail(response), /no name/);
});

Deno.test("an X.509 certificate is for a request in PEM or base64, with the names that its asker holds", async () => {
  const { send, authority } = scene();
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${CSR}\n-----END CERTIFICATE REQUEST-----\n`;
  for (const csr of [pem, CSR]) {
    const response = await send(x509, { as: "ann", body: { csr } });
    assert.deepEqual(await response.json(), {
      certificate: "PEM\n",
      chain: ["PEM of the root\n"],
      serial: "0c",
      expires: "2026-08-02T12:00:00.000Z",
    });
  }
  for (const request of authority.x509) {
    assert.equal(decodeText(request.csr), atob(CSR));
    assert.deepEqual([request.names, request.identity.groups], [["web.mesh.example"], ["sre"]]);
  }
});

Deno.test("a certificate gets an SSH certificate, and none of its own kind", async () => {
  const stranger = identity({ kind: "x509", issuer: "mesh.example", credential: { serial: "02" } });
  const { send, authority } = scene({ clientIdentity: () => stranger });
  assert.equal((await send(ssh, { certificate: true, body: { public_key: USER_KEY } })).status, 200);
  const response = await send(x509, { certificate: true, body: { csr: CSR } });
  assert.equal(response.status, 403);
  assert.match(await detail(response), /does not get another certificate/);
  assert.deepEqual([authority.users.length, authority.x509.length], [1, 0]);
});

Deno.test("the certificate of an enrolled key renews itself", async () => {
  const { send, authority } = scene();
  assert.equal((await send(x509, { certificate: true, body: { csr: CSR } })).status, 200);
  const [{ identity, names }] = authority.x509;
  assert.deepEqual(identity, { ...gateway, kind: "key" });
  // Names that it serves are judged by other rules than its own.
  assert.deepEqual(names, []);
  const more = { csr: CSR, names: ["web.mesh.example"] };
  assert.equal((await send(x509, { certificate: true, body: more })).status, 400);
});

const on_behalf_of = {
  kind: "key",
  issuer: "key",
  subject: "SHA256:ann",
  name: "SHA256:ann",
  groups: ["sre"],
  expires: "2026-08-01T13:00:00Z",
  restrictions: { source_addresses: ["10.0.0.0/8"], force_command: "true", port_forwarding: false },
  credential: { fingerprint: "SHA256:ann" },
};

Deno.test("a gateway with the right 'assert' gets certificates for those it vouches for, as it describes them", async () => {
  const { send, authority, audit } = scene();
  const user = { public_key: USER_KEY, on_behalf_of };
  assert.equal((await send(ssh, { certificate: true, body: user })).status, 200);
  assert.deepEqual(authority.users[0].identity, {
    kind: "key",
    issuer: "key",
    subject: "SHA256:ann",
    name: "SHA256:ann",
    groups: ["sre"],
    claims: {},
    owner: false,
    expiresAt: Date.parse("2026-08-01T13:00:00Z"),
    restrictions: { sourceAddresses: ["10.0.0.0/8"], forceCommand: "true", portForwarding: false },
    credential: { fingerprint: "SHA256:ann" },
  });
  const host = {
    public_key: HOST_KEY,
    type: "host",
    names: ["any.where.example"],
    gateway: true,
    on_behalf_of,
  };
  assert.equal((await send(ssh, { certificate: true, body: host })).status, 200);
  assert.deepEqual([authority.hosts[0].names, authority.hosts[0].gateway], [["any.where.example"], true]);
  assert.equal((await send(x509, { certificate: true, body: { csr: CSR, on_behalf_of } })).status, 200);
  assert.deepEqual(authority.x509[0].names, []);
  assert.deepEqual(audit.map(({ event }) => event), Array(3).fill("auth.accepted"));
});

Deno.test("who was enrolled at a gateway was not enrolled here, and a gateway's own names may be addresses", async () => {
  const { send, authority } = scene();
  const body = {
    public_key: HOST_KEY,
    type: "host",
    names: ["gw1.mesh.example", "127.0.0.1", "::1"],
    gateway: true,
    on_behalf_of: { ...on_behalf_of, issuer: "enrolled" },
  };
  assert.equal((await send(ssh, { certificate: true, body })).status, 200);
  assert.equal(authority.hosts[0].identity.issuer, "enrolled:gw1.mesh.example");
  assert.deepEqual(authority.hosts[0].names, body.names);
  const node = { ...body, gateway: false };
  assert.equal((await send(ssh, { certificate: true, body: node })).status, 400);
});

Deno.test("nobody without the right 'assert' vouches for others, owners of a name least of all", async () => {
  const { send, authority, audit } = scene();
  for (const as of ["ann", "root"]) {
    const response = await send(ssh, { as, body: { public_key: USER_KEY, on_behalf_of } });
    assert.equal(response.status, 403);
    assert.match(await detail(response), /'assert'/);
  }
  assert.deepEqual(authority.users, []);
  const [, refused] = audit;
  assert.deepEqual([refused.event, refused.action, refused.rule], [
    "access.refused",
    "assert",
    "default deny",
  ]);
});

Deno.test("who passes requests on to another authority vouches for nobody: two that ask each other would never end", async () => {
  const { send, authority } = scene({ passesOn: true });
  const response = await send(ssh, { certificate: true, body: { public_key: USER_KEY, on_behalf_of } });
  assert.equal(response.status, 403);
  assert.match(await detail(response), /another authority/);
  assert.equal((await send(ssh, { as: "ann", body: { public_key: USER_KEY } })).status, 200);
  assert.equal(authority.users.length, 1);
});

Deno.test("nobody asserts an owner, an anonymous or a joining identity", async () => {
  const { send, authority } = scene();
  const changes = [{ owner: true }, { kind: "anonymous" }, { kind: "join" }, { claims: {} }];
  for (const change of changes) {
    const body = { public_key: USER_KEY, on_behalf_of: { ...on_behalf_of, ...change } };
    assert.equal((await send(ssh, { certificate: true, body })).status, 400, JSON.stringify(change));
  }
  assert.deepEqual(authority.users, []);
});

Deno.test("what the authority says is passed on: refused 403, not understood 400, not there 503, all else 500 and no detail", async () => {
  const table = [
    [new CaError("refused", "the name has a comma"), 403, /comma/],
    [new CaError("invalid", "the key is weak"), 400, /weak/],
    [new CaError("unavailable", "the authority is away"), 503, /away/],
    [new Error("secret path"), 500, /^something unexpected/],
  ] as const;
  for (const [error, status, sentence] of table) {
    const { send, authority, failures } = scene();
    authority.error = error;
    const response = await send(ssh, { as: "ann", body: { public_key: USER_KEY } });
    assert.equal(response.status, status);
    if (status === 503) assert.ok(response.headers.get("retry-after"));
    assert.match(await detail(response), sentence);
    assert.deepEqual(failures, status === 500 ? [error] : []);
  }
});
