import assert from "node:assert/strict";
import type { IssuerConfig } from "../../../src/identity/token/types.ts";
import { IdentityError } from "../../../src/identity/principal.ts";
import { type Claims, gcp, google, identityOf, k8s, pod } from "./bearers.ts";

const others = ["prod.mycorp.com", "localhost"];
const refused: readonly [
  what: string,
  issuer: Partial<IssuerConfig>,
  claims: Claims,
  code: IdentityError["code"],
][] = [
  ["a Kubernetes user that is no service account", k8s, pod("system:node:node-1"), "malformed-name"],
  ["a service account with a part too many", k8s, pod("system:serviceaccount:shop:web:x"), "malformed-name"],
  [
    "a service account's prefix in the middle",
    k8s,
    pod("x system:serviceaccount:shop:web"),
    "malformed-name",
  ],
  ["a namespace in upper case", k8s, pod("system:serviceaccount:Shop:web"), "malformed-name"],
  ["an account with a dot", k8s, pod("system:serviceaccount:shop:web.evil"), "malformed-name"],
  ["an account with a comma", k8s, pod("system:serviceaccount:shop:web,root"), "malformed-name"],
  ["an account with a wildcard", k8s, pod("system:serviceaccount:shop:*"), "malformed-name"],
  [
    "a pod whose claims are about another namespace",
    k8s,
    pod("system:serviceaccount:shop:web", { "kubernetes.io": { namespace: "kube-system" } }),
    "malformed-name",
  ],
  [
    "a pod whose claims are about another account",
    k8s,
    pod("system:serviceaccount:shop:web", { "kubernetes.io": { serviceaccount: { name: "admin" } } }),
    "malformed-name",
  ],
  ["a Google account without an address", gcp, { sub: "1097" }, "no-name"],
  [
    "a Google account with an unverified address",
    gcp,
    google("ann@mycorp.com", { email_verified: false }),
    "no-name",
  ],
  [
    "a Google account that does not say",
    gcp,
    google("ann@mycorp.com", { email_verified: undefined }),
    "no-name",
  ],
  [
    "a Google service account with dots in its name",
    gcp,
    google("a.b@p.iam.gserviceaccount.com"),
    "malformed-name",
  ],
  [
    "a Google service account whose project is called like a trust domain",
    gcp,
    google("foo@localhost.iam.gserviceaccount.com"),
    "malformed-name",
  ],
  ["an address that is a list", gcp, google(["ann@mycorp.com"]), "malformed-name"],
  ["an address at an IP address", gcp, google("ann@10.0.0.1"), "malformed-name"],
  ["an address with two signs", gcp, google("ann@evil.com@mycorp.com"), "malformed-name"],
  ["an address with a hidden character", gcp, google("ann@my\u200bcorp.com"), "malformed-name"],
  ["an address with a comma", gcp, google("ann,root@mycorp.com"), "malformed-name"],
  ["an address that begins like an option", gcp, google("-oProxyCommand=x@mycorp.com"), "malformed-name"],
  [
    "an address under another's trust domain",
    {},
    google("web@shop.prod.mycorp.com"),
    "email-under-trust-domain",
  ],
  [
    "an address under a trust domain in disguise",
    {},
    google("web@shop.PROD.mycorp.com."),
    "email-under-trust-domain",
  ],
  [
    "an address under the issuer's own trust domain",
    { trustDomain: "vm.mycorp.com" },
    google("web@shop.vm.mycorp.com"),
    "email-under-trust-domain",
  ],
  ["a GitHub token without repository", { kind: "github" }, { sub: "repo:x" }, "no-name"],
  [
    "a GitHub repository with a space",
    { kind: "github" },
    { sub: "s", repository: "my corp/app" },
    "malformed-name",
  ],
  ["a subject that is an unverified address", {}, { sub: "ann@mycorp.com" }, "no-name"],
  ["a mapped name that is an unverified address", { claims: { name: "upn" } }, {
    sub: "s",
    upn: "ann@mycorp.com",
  }, "no-name"],
  [
    "a mapped name that is another's address",
    { claims: { name: "upn" } },
    google("ann@mycorp.com", { upn: "bob@mycorp.com" }),
    "no-name",
  ],
  [
    "a mapped address that the token says is not verified",
    { claims: { email: "upn" } },
    { sub: "s", upn: "ann@mycorp.com", email_verified: false },
    "no-name",
  ],
  [
    "an address at Entra that the token says is not its owner's",
    { kind: "entra", claims: { email: "email" } },
    { sub: "s", email: "ann@mycorp.com", xms_edov: false },
    "no-name",
  ],
  ["a mapped name that is missing", { claims: { name: "login" } }, { sub: "s" }, "no-name"],
  [
    "a mapped name that is a list",
    { claims: { name: "login" } },
    { sub: "s", login: ["ann"] },
    "malformed-name",
  ],
  ["a name that reads as a group", {}, { sub: "Group:sre" }, "malformed-name"],
  ["a name that reads as a bare one in a certificate", {}, { sub: "name:root" }, "malformed-name"],
  ["a name that reads as an owner's key", {}, {
    sub: "SHA256:hGaFr0mwXr1Vmyz+A/4kfCYf1Vd3DN4Q6yOrIU1xG7k",
  }, "malformed-name"],
  [
    "a mapped name that reads as a key",
    { claims: { name: "login" } },
    { sub: "s", login: "sha256:x" },
    "malformed-name",
  ],
  ["a name that reads as a join token", {}, { sub: "join:0123456789abcdef" }, "malformed-name"],
  [
    "a name that reads as another's SPIFFE ID",
    {},
    { sub: "spiffe://prod.mycorp.com/vm/7" },
    "malformed-name",
  ],
  ["a name that reads as nobody's SPIFFE ID", { trustDomain: "vm.mycorp.com" }, {
    sub: "SPIFFE://prod.other.com/vm/7",
  }, "malformed-name"],
  ["a name that reads as a SPIFFE ID in another spelling", { trustDomain: "vm.mycorp.com" }, {
    sub: "spiffe:/vm.mycorp.com/vm/7",
  }, "malformed-name"],
  ["a name that reads as the gateway", {}, { sub: "gw.mycorp.com" }, "malformed-name"],
  ["a name that reads as a node of the gateway", {}, { sub: "Web.gw.mycorp.com" }, "malformed-name"],
  ["a name that reads as another's host", {}, { sub: "web.prod.mycorp.com" }, "malformed-name"],
  ["a name that is another's trust domain", {}, { sub: "PROD.mycorp.com" }, "malformed-name"],
  [
    "a name that reads as another's workload",
    {},
    { sub: "web@shop.prod.mycorp.com" },
    "email-under-trust-domain",
  ],
  [
    "a host under a trust domain inside the issuer's own",
    { trustDomain: "mycorp.com" },
    { sub: "web.prod.mycorp.com" },
    "malformed-name",
  ],
  ["a subject with a comma", {}, { sub: "deploy,root" }, "malformed-name"],
  ["a subject with a space", {}, { sub: "ann root" }, "malformed-name"],
  ["a subject with a wildcard", {}, { sub: "ann*" }, "malformed-name"],
];

for (const [what, issuer, claims, code] of refused) {
  Deno.test(`${what} names nobody we accept`, () => {
    assert.throws(
      () => identityOf(claims, issuer, others, ["gw.mycorp.com"]),
      (error) => error instanceof IdentityError && error.code === code || assert.fail(String(error)),
    );
  });
}

Deno.test("people have addresses under the gateway's domain, and workloads SPIFFE IDs of their issuer's trust domain", () => {
  const domains = ["gw.mycorp.com"];
  assert.equal(identityOf(google("ann@gw.mycorp.com"), {}, others, domains).name, "ann@gw.mycorp.com");
  const sub = "spiffe://vm.mycorp.com/vm/7";
  assert.equal(identityOf({ sub }, { trustDomain: "vm.mycorp.com" }, others, domains).name, sub);
  // The domain may be the issuer's trust domain.
  const web = identityOf({ sub: "web.gw.mycorp.com" }, { trustDomain: "gw.mycorp.com" }, others, domains);
  assert.equal(web.fqdn, "web.gw.mycorp.com");
});
