import assert from "node:assert/strict";
import type { IssuerConfig } from "../../../src/identity/token/types.ts";
import { type Identity, sameIdentity } from "../../../src/identity/principal.ts";
import { authorize, parsePolicy } from "../../../src/identity/policy/mod.ts";
import { type Claims, gcp, google, identityOf, k8s, NOW, pod } from "./bearers.ts";
import { issuerConfig } from "./issuer.ts";

const named: readonly [
  what: string,
  issuer: Partial<IssuerConfig>,
  claims: Claims,
  expected: { name: string; fqdn?: string; email?: string; trustDomain?: string },
][] = [
  [
    "a Kubernetes service account",
    k8s,
    pod("system:serviceaccount:shop:web", {
      "kubernetes.io": { namespace: "shop", serviceaccount: { name: "web", uid: "1" } },
    }),
    {
      name: "web@shop.prod.mycorp.com",
      fqdn: "web.shop.svc.prod.mycorp.com",
      trustDomain: "prod.mycorp.com",
    },
  ],
  [
    "a Google service account",
    gcp,
    google("web@my-project.iam.gserviceaccount.com"),
    {
      name: "web.my-project",
      fqdn: "web.my-project.gcp.gw.mycorp.com",
      email: "web@my-project.iam.gserviceaccount.com",
      trustDomain: "gcp.gw.mycorp.com",
    },
  ],
  [
    "a Google service account of a domain's project",
    gcp,
    google("web@shop.mycorp.com.iam.gserviceaccount.com"),
    {
      name: "web.shop.mycorp.com",
      fqdn: "web.shop.mycorp.com.gcp.gw.mycorp.com",
      email: "web@shop.mycorp.com.iam.gserviceaccount.com",
      trustDomain: "gcp.gw.mycorp.com",
    },
  ],
  [
    "Google's compute default account",
    gcp,
    google("123456789-compute@developer.gserviceaccount.com"),
    {
      name: "123456789",
      fqdn: "123456789.gcp.gw.mycorp.com",
      email: "123456789-compute@developer.gserviceaccount.com",
      trustDomain: "gcp.gw.mycorp.com",
    },
  ],
  [
    "a person at Google",
    gcp,
    google("Ann@MyCorp.com", { hd: "mycorp.com" }),
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  [
    "a service account that looks like one of a project",
    gcp,
    google("web@my-project.iam.gserviceaccount.com.evil.com"),
    {
      name: "web@my-project.iam.gserviceaccount.com.evil.com",
      email: "web@my-project.iam.gserviceaccount.com.evil.com",
    },
  ],
  [
    "a GitHub workflow",
    { kind: "github" },
    { sub: "repo:mycorp/app:ref:refs/heads/main", repository: "mycorp/app", repository_owner: "mycorp" },
    { name: "mycorp/app" },
  ],
  [
    "a GitLab job",
    { kind: "gitlab" },
    {
      sub: "project_path:mycorp/app:ref_type:branch:ref:main",
      project_path: "mycorp/app",
      user_email: "ann@mycorp.com",
    },
    { name: "mycorp/app" },
  ],
  [
    "a person at GitLab",
    { kind: "gitlab" },
    { sub: "42", email: "ann@mycorp.com", email_verified: true },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  [
    "a person at Entra whose address the domain's owner has verified",
    { kind: "entra" },
    { sub: "pairwise", oid: "9f0e", email: "Ann@mycorp.com", xms_edov: true },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  [
    "a person at Entra with an address that anybody may have written",
    { kind: "entra" },
    { sub: "pairwise", oid: "9f0e", email: "ann@mycorp.com", preferred_username: "ann@mycorp.com" },
    { name: "9f0e" },
  ],
  [
    "a person at Entra whose user name the operator vouches for",
    { kind: "entra", claims: { email: "preferred_username" } },
    { sub: "pairwise", oid: "9f0e", preferred_username: "Ann@mycorp.com" },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  [
    "a person at Okta",
    { kind: "okta" },
    { sub: "00u1", email: "ann@mycorp.com", email_verified: true },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  [
    "a user of Okta's access tokens",
    { kind: "okta", claims: { email: "sub" } },
    { sub: "ann@mycorp.com", uid: "00u1" },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  ["a service with nothing but a subject", {}, { sub: "auth0|5f7c8ec7c33c6c004bbafe82" }, {
    name: "auth0|5f7c8ec7c33c6c004bbafe82",
  }],
  ["an unverified address beside a subject", {}, {
    sub: "s1",
    email: "ann@mycorp.com",
    email_verified: false,
  }, {
    name: "s1",
  }],
  ["an address verified in text", {}, { sub: "s1", email: "ann@mycorp.com", email_verified: "true" }, {
    name: "ann@mycorp.com",
    email: "ann@mycorp.com",
  }],
  [
    "an internationalised domain",
    {},
    { sub: "s1", email: "ann@Bücher.Example.", email_verified: true },
    { name: "ann@xn--bcher-kva.example", email: "ann@xn--bcher-kva.example" },
  ],
  [
    "a mapped name beside an address",
    { claims: { name: "login" } },
    { sub: "s1", login: "ann", email: "ann@mycorp.com", email_verified: true },
    { name: "ann", email: "ann@mycorp.com" },
  ],
  ["a mapped name deep inside", { claims: { name: "profile.login" } }, {
    sub: "s1",
    profile: { login: "ann" },
  }, {
    name: "ann",
  }],
  [
    "a mapped name that is the verified address",
    { claims: { name: "upn" } },
    { sub: "s1", upn: "Ann@mycorp.com", email: "ann@mycorp.com", email_verified: true },
    { name: "ann@mycorp.com", email: "ann@mycorp.com" },
  ],
  ["a host under the issuer's trust domain", { trustDomain: "vm.mycorp.com" }, {
    sub: "Build-7.vm.mycorp.com",
  }, {
    name: "build-7.vm.mycorp.com",
    fqdn: "build-7.vm.mycorp.com",
    trustDomain: "vm.mycorp.com",
  }],
  ["a workload under the issuer's trust domain", { trustDomain: "vm.mycorp.com" }, {
    sub: "web@shop.vm.mycorp.com",
  }, {
    name: "web@shop.vm.mycorp.com",
    fqdn: "web.shop.svc.vm.mycorp.com",
    trustDomain: "vm.mycorp.com",
  }],
];

for (const [what, issuer, claims, expected] of named) {
  Deno.test(`${what} is ${expected.name}`, () => {
    const { name, fqdn, email, trustDomain, issuer: from, subject, groups, owner } = identityOf(
      claims,
      issuer,
    );
    const found = Object.fromEntries(
      Object.entries({ name, fqdn, email, trustDomain }).filter(([, value]) => value !== undefined),
    );
    assert.deepEqual(found, expected);
    assert.deepEqual([from, subject], [issuerConfig(issuer).issuer, claims.sub]);
    assert.deepEqual([groups, owner], [[], false]);
  });
}

Deno.test("two clusters with the same account and namespace are two identities", () => {
  const claims = pod("system:serviceaccount:shop:web");
  const one = identityOf(claims, { ...k8s, issuer: "https://one.example", trustDomain: "one.mycorp.com" });
  const two = identityOf(claims, { ...k8s, issuer: "https://two.example", trustDomain: "two.mycorp.com" });
  assert.equal(sameIdentity(one, two), false);
  assert.notEqual(one.fqdn, two.fqdn);
});

Deno.test("groups are what the configuration says, as a list, and never groups of the policy", () => {
  const cases: readonly [claims: Claims, path: string | undefined, groups: unknown][] = [
    [{ groups: ["a", "b"] }, undefined, ["a", "b"]],
    [{ realm_access: { roles: ["a", 7, null] } }, "realm_access.roles", ["a"]],
    [{ "https://mycorp.com/groups": "a" }, "https://mycorp.com/groups", ["a"]],
    [{ groups: ["forged"], roles: ["a"] }, "roles", ["a"]],
    [{ groups: ["forged"] }, "roles", []],
    [{}, undefined, undefined],
  ];
  for (const [claims, path, expected] of cases) {
    const identity = identityOf({ sub: "s", ...claims }, {
      claims: path === undefined ? {} : { groups: path },
    });
    assert.deepEqual(identity.claims.groups, expected);
    assert.deepEqual(identity.groups, []);
  }
});

Deno.test("claims about the token itself are left out, all others stay for rules", () => {
  const about = { iss: "i", aud: "a", exp: 1, nbf: 1, iat: 1, jti: "j", nonce: "n", at_hash: "h" };
  const kept = JSON.parse(
    '{"sub":"s","acr":"2","kubernetes.io":{"namespace":"shop"},"__proto__":{"owner":true}}',
  );
  const { claims, owner } = identityOf({ ...about, ...kept });
  assert.deepEqual(Object.keys(claims).sort(), Object.keys(kept).sort());
  assert.equal(owner, false);
  assert.equal(claims.owner, undefined);
});

Deno.test("rules see issuers, names and claims of tokens", () => {
  const policy = parsePolicy(`
    rules:
      - { name: pods, who: { trust_domain: prod.mycorp.com }, may: register, what: { node: self } }
      - { name: ci, who: { claims: { sub: "repo:mycorp/app:*" } }, may: connect, what: { node: web } }
  `);
  const allows = (identity: Identity, action: "register" | "connect", name: string) =>
    authorize(policy, identity, action, { kind: "node", name }, { now: NOW }).allowed;
  const web = identityOf(pod("system:serviceaccount:shop:web"), k8s);
  assert.equal(allows(web, "register", "web.shop.svc.prod.mycorp.com"), true);
  assert.equal(allows(web, "register", "db.shop.svc.prod.mycorp.com"), false);
  const ci = (repository: string) =>
    identityOf({ sub: `repo:${repository}:ref:refs/heads/main`, repository }, { kind: "github" });
  assert.equal(allows(ci("mycorp/app"), "connect", "web"), true);
  assert.equal(allows(ci("evil/app"), "connect", "web"), false);
});
