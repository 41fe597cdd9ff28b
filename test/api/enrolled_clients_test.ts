/** Whom a client certificate stands for, where its key was enrolled. */
import assert from "node:assert/strict";
import { enrolledIdentity } from "../../src/api/mod.ts";
import { ENROLLED_ISSUER, type Identity } from "../../src/identity/principal.ts";
import { trustedX509Roots, x509Identity } from "../../src/identity/x509.ts";
import { readCertificates } from "../../src/x509/certificate.ts";
import { node, testAuthority, workload } from "../support/authority.ts";

const DOMAIN = "gw.example";

/** The certificate of ours for `identity`, read as the gateway reads it when its key is enrolled as `a.gw.example`. */
async function read(identity: Identity): Promise<Identity> {
  const authority = await testAuthority({ trustDomain: DOMAIN });
  const { certificate } = await authority.issue({ identity, trustDomains: [DOMAIN] });
  const chain = readCertificates(certificate).map(({ rawData }) => new Uint8Array(rawData));
  const proved = await x509Identity(chain, {
    now: Date.now(),
    roots: trustedX509Roots(authority.certificate, { trustDomains: [DOMAIN] }),
    trustDomains: [DOMAIN],
  });
  const bearer = node(`a.${DOMAIN}`);
  return await enrolledIdentity(chain, proved, { identityOf: () => Promise.resolve(bearer) });
}

Deno.test("the certificate of an enrolled key is the machine's that was enrolled", async () => {
  const { kind, issuer, name } = await read(node(`a.${DOMAIN}`));
  assert.deepEqual([kind, issuer, name], ["x509", ENROLLED_ISSUER, `a.${DOMAIN}`]);
});

Deno.test("whoever enrols a key that is somebody else's does not become whom its certificates name", async () => {
  const { issuer, name } = await read(workload("web", "shop", DOMAIN));
  assert.deepEqual([issuer, name], [DOMAIN, `web@shop.${DOMAIN}`]);
  assert.equal((await read(node(`b.${DOMAIN}`))).name, `b.${DOMAIN}`);
});
