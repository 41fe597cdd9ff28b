/** Certificates that were got with certificates: what bounds the first one bounds the second, and both fall together. */
import assert from "node:assert/strict";
import { profilesSchema } from "../../src/ca/profiles.ts";
import { CaError, type Revocation } from "../../src/ca/types.ts";
import { decodeText } from "../../src/bytes/bytes.ts";
import { RevocationList } from "../../src/cert/revocation.ts";
import { type Identity, keyIdentity } from "../../src/identity/principal.ts";
import { trustedX509Roots, x509Identity } from "../../src/identity/x509.ts";
import { X509Error } from "../../src/x509/error.ts";
import { readCertificates } from "../../src/x509/certificate.ts";
import { Pkcs10CertificateRequestGenerator } from "../../src/x509/library.ts";
import { admin, ann, HOUR, otherKey, remote, type Scene, scene, someKey } from "./scene.ts";

const fails = (code: CaError["code"], words: RegExp) => (error: unknown) =>
  error instanceof CaError && error.code === code && words.test(error.message);

async function csr() {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" };
  return new Uint8Array((await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm })).rawData);
}

/** Whoever comes with the X.509 certificate that `identity` gets, as the gateway sees them. */
async function withX509({ authority, clock }: Scene, identity: Identity, names: string[] = []) {
  const { certificate } = await authority.issueX509({ identity, csr: await csr(), names, remote });
  const trustDomains = ["prod.example", "mesh.example"];
  const { x509 } = await authority.authorities();
  return await x509Identity(readCertificates(certificate).map(({ rawData }) => new Uint8Array(rawData)), {
    now: clock.now(),
    roots: x509.flatMap((pem) => trustedX509Roots(pem, { trustDomains })),
    trustDomains,
  });
}

/** Everything that an SSH certificate of somebody who came with X.509 stands on. */
const causes: [string, (x509: Identity) => Revocation][] = [
  ["the identity that got the X.509 certificate", () => ({ kind: "identity", issuer, subject: "ann-1" })],
  ["the X.509 certificate", ({ credential }) => ({ kind: "x509-serial", serial: credential.serial! })],
  ["its key", ({ credential }) => ({ kind: "key", key: credential.fingerprint! })],
  ["the name in it", (x509) => ({ kind: "identity", issuer: x509.issuer, subject: x509.subject })],
];
const issuer = "https://id.example";

for (const [what, revocation] of causes) {
  Deno.test(`SSH certificates that were got with an X.509 certificate fall with ${what}`, async () => {
    using made = await scene();
    const { authority } = made;
    const x509 = await withX509(made, ann());
    const [user, host, other] = [
      await authority.issueUser({ identity: x509, publicKey: someKey, remote }),
      await authority.issueHost({ identity: x509, publicKey: otherKey, names: ["web.mesh.example"], remote }),
      await authority.issueUser({ identity: ann({ subject: "ann-2" }), publicKey: someKey, remote }),
    ];
    await authority.revoke(revocation(x509), admin);
    const list = new RevocationList((await authority.revoked()).krl);
    assert.ok(await list.isRevoked(user.certificate));
    assert.ok(await list.isRevoked(host.certificate));
    assert.ok(!await list.isRevoked(other.certificate));
    await assert.rejects(
      authority.issueUser({ identity: x509, publicKey: someKey, remote }),
      fails("refused", /has been revoked: it gets no certificate/),
    );
  });
}

Deno.test("another root's certificate with a serial number of ours has nothing to do with it", async () => {
  using made = await scene();
  const { authority } = made;
  const x509 = await withX509(made, ann());
  const stranger: Identity = {
    ...ann({ kind: "x509", subject: "eve", name: "eve@elsewhere.example" }),
    credential: { ...x509.credential, fingerprint: await otherKey.fingerprint() },
  };
  await authority.revoke({ kind: "identity", issuer, subject: "ann-1" }, admin);
  assert.ok(await authority.issueUser({ identity: stranger, publicKey: someKey, remote }));
});

Deno.test("what a profile restricts is not lost on the way over X.509", async () => {
  const profiles = profilesSchema.parse([
    {
      name: "tokens",
      who: { kind: "jwt" },
      extensions: ["permit-pty"],
      force_command: "backup",
      source_address: "10.0.0.0/8",
    },
    { name: "x509", who: { kind: "x509" }, source_address: ["10.1.0.0/16", "192.0.2.0/24"] },
  ]);
  using made = await scene({}, { profiles });
  const x509 = await withX509(made, ann({ expiresAt: made.clock.now() + HOUR }));
  const { certificate } = await made.authority.issueUser({ identity: x509, publicKey: someKey, remote });
  assert.deepEqual([...certificate.criticalOptions].map(([name]) => name), [
    "force-command",
    "source-address",
  ]);
  assert.equal(made.records.at(-1)!.details.profile, "x509");
  assert.deepEqual([...certificate.extensions.keys()], ["permit-pty"]);
  const text = [...certificate.criticalOptions].map(([, value]) => decodeText(value)).join(" ");
  assert.match(text, /backup/);
  assert.match(text, /10\.1\.0\.0\/16/);
  assert.doesNotMatch(text, /192\.0\.2/);
});

Deno.test("profiles that force different commands leave nothing", async () => {
  const profiles = profilesSchema.parse([
    { name: "tokens", who: { kind: "jwt" }, force_command: "backup" },
    { name: "x509", who: { kind: "x509" }, force_command: "restore" },
  ]);
  using made = await scene({}, { profiles });
  const x509 = await withX509(made, ann());
  await assert.rejects(
    made.authority.issueUser({ identity: x509, publicKey: someKey, remote }),
    fails("refused", /different commands/),
  );
});

Deno.test("a restricted credential gets no X.509 certificate, which could not say so", async () => {
  using made = await scene();
  const restrictions = [{ sourceAddresses: ["10.0.0.0/8"] }, { sourceAddresses: [] }, { forceCommand: "x" }, {
    portForwarding: false,
  }];
  for (const restricted of restrictions) {
    const identity = ann({ restrictions: restricted });
    await assert.rejects(
      made.authority.issueX509({ identity, csr: await csr(), names: [], remote }),
      fails("refused", /restricted/),
    );
  }
});

Deno.test("who only serves a name does not become it: the certificate is for servers alone", async () => {
  using made = await scene();
  const owner = keyIdentity({ fingerprint: await someKey.fingerprint(), owner: true });
  await assert.rejects(withX509(made, owner, ["web.prod.example"]), X509Error);
  const nameless = ann({ name: "root", email: undefined });
  await assert.rejects(withX509(made, nameless, ["web.prod.example"]), X509Error);
  // Who has a name comes with that.
  assert.equal((await withX509(made, ann(), ["web.prod.example"])).name, "ann@mycorp.example");
});
