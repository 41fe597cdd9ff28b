import assert from "node:assert/strict";
import { prepareIssuers, tokenVerifier } from "../../../src/identity/token/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { kubernetesLikeIssuer, startOidcProvider } from "../../support/oidc.ts";

const audiences = ["ssh://localhost"];
const readFile = (path: string) => Deno.readTextFile(path);

Deno.test("tokens of a real OpenID provider are verified by discovery, over a rotation of keys and an outage", async () => {
  await using provider = await startOidcProvider();
  const clock = new FakeClock(Date.now());
  const issuers = prepareIssuers([{ issuer: provider.issuer }], { audiences });
  const verifier = tokenVerifier(issuers, { fetch, readFile, clock });
  const ann = { sub: "ann", email: "Ann@MyCorp.com", email_verified: true, groups: ["sre", "web"] };

  const first = await provider.idToken(ann);
  const { identity } = await verifier.verify(first, Date.now());
  assert.equal(identity.kind, "jwt");
  assert.equal(identity.issuer, provider.issuer);
  assert.equal(identity.subject, "ann");
  assert.equal(identity.name, "ann@mycorp.com");
  assert.equal(identity.email, "ann@mycorp.com");
  assert.deepEqual(identity.claims.groups, ["sre", "web"]);
  assert.deepEqual(identity.groups, []);

  const service = await verifier.verify(await provider.serviceToken(), Date.now());
  assert.equal(service.identity.name, "service");
  assert.equal(service.identity.email, undefined);
  const keysAsked = () => provider.requests.filter((path) => path === "/jwks").length;
  assert.equal(keysAsked(), 1, "keys are kept");

  await assert.rejects(
    verifier.verify(await provider.idToken(ann, "ssh://elsewhere"), Date.now()),
    { code: "audience" },
  );

  await provider.rotateKeys();
  assert.equal((await verifier.verify(await provider.idToken(ann), Date.now())).identity.subject, "ann");
  assert.equal(keysAsked(), 2);
  await assert.rejects(verifier.verify(first, Date.now()), { code: "unknown-key" });

  const during = await provider.idToken(ann);
  provider.outage(true);
  await clock.advance(2 * 3_600_000);
  assert.equal((await verifier.verify(during, Date.now())).identity.subject, "ann");
  await clock.advance(24 * 3_600_000);
  await assert.rejects(verifier.verify(during, Date.now()), { code: "keys-unavailable" });
  provider.outage(false);
  await clock.advance(60_000);
  assert.equal((await verifier.verify(during, Date.now())).identity.subject, "ann");
});

Deno.test("pod tokens are verified with a file of keys, which is read anew when it changes", async () => {
  using folder = temporaryFolder();
  const cluster = await kubernetesLikeIssuer(folder);
  const clock = new FakeClock(Date.now());
  const issuers = prepareIssuers([{
    issuer: cluster.issuer,
    jwks: cluster.jwks,
    trustDomain: "prod.mycorp.com",
  }], {
    audiences,
  });
  const verifier = tokenVerifier(issuers, { fetch, readFile, clock });
  const token = await cluster.podToken({ namespace: "shop", account: "web" });
  const { identity } = await verifier.verify(token, Date.now());
  assert.equal(identity.name, "web@shop.prod.mycorp.com");
  assert.equal(identity.fqdn, "web.shop.svc.prod.mycorp.com");
  assert.equal(identity.trustDomain, "prod.mycorp.com");
  assert.equal(identity.subject, "system:serviceaccount:shop:web");
  assert.deepEqual(verifier.trustDomains, ["prod.mycorp.com"]);

  await cluster.rotateKeys();
  const next = await cluster.podToken({ namespace: "shop", account: "web" });
  assert.equal((await verifier.verify(next, Date.now())).identity.fqdn, "web.shop.svc.prod.mycorp.com");
  await assert.rejects(verifier.verify(token, Date.now()), { code: "unknown-key" });
});
