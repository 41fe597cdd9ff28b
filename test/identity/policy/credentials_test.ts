/** What a credential allows or forbids by itself, and the groups that certificates carry on. */
import assert from "node:assert/strict";
import { authorize, parsePolicy, policyGroupsOf, type Resource } from "../../../src/identity/policy/mod.ts";
import { anonymous, ENROLLED_ISSUER, type Identity } from "../../../src/identity/principal.ts";

const now = Date.parse("2026-08-01T12:00:00Z");
const gateway = { kind: "gateway" } as const;
const node = (name: string, port = 22) => ({ kind: "node", name, port }) as const;

function identity(members: Partial<Identity>): Identity {
  return {
    ...anonymous,
    kind: "jwt",
    issuer: "https://issuer.example",
    subject: "1",
    name: "ann",
    ...members,
  };
}

const everything = `rules:
  - { name: all, who: authenticated, may: [cert, admin, register, connect], what: { node: "*" } }
`;

function decide(
  policy: string,
  who: Identity,
  action: Parameters<typeof authorize>[2],
  on: Resource = gateway,
) {
  const { allowed, rule, peerSentence } = authorize(parsePolicy(policy), who, action, on, { now });
  return { allowed, rule, peerSentence };
}

Deno.test("everybody with a credential gets a certificate, but nobody for a certificate", () => {
  for (const kind of ["jwt", "x509", "oidc", "key"] as const) {
    assert.equal(decide("", identity({ kind }), "cert").allowed, true, kind);
  }
  const certified = decide(everything, identity({ kind: "ssh-cert" }), "cert");
  assert.equal(certified.allowed, false);
  assert.match(certified.peerSentence, /^a certificate does not get another certificate/);
  assert.equal(decide(everything, anonymous, "cert").allowed, false);
});

Deno.test("a join token does nothing, whatever the rules and whoever made it", () => {
  const join = identity({ kind: "join", owner: true });
  for (const action of ["whoami", "known-hosts", "cert", "admin"] as const) {
    const { allowed, rule } = decide(everything, join, action);
    assert.deepEqual({ allowed, rule }, { allowed: false, rule: "join token" }, action);
  }
  assert.equal(decide(everything, join, "register", node("web.localhost")).allowed, false);
});

Deno.test("an enrolled key serves and certifies its own name, and nothing else", () => {
  const fqdn = "web.example.com";
  const key = identity({ kind: "key", issuer: ENROLLED_ISSUER, subject: "SHA256:a", name: fqdn, fqdn });
  for (const action of ["register", "cert-host"] as const) {
    assert.deepEqual(decide("", key, action, node(fqdn)).rule, "enrolled");
    assert.equal(decide("", key, action, node("db.example.com")).allowed, false);
  }
  for (const action of ["publish", "connect", "shared"] as const) {
    assert.equal(decide("", key, action, node(fqdn)).allowed, false, action);
  }
  const denied = `rules: [{ who: { issuer: enrolled }, deny: true, may: [register], what: { node: "*" } }]`;
  assert.equal(decide(denied, key, "register", node(fqdn)).allowed, false);
  const alike = identity({ kind: "jwt", issuer: "https://enrolled.example", fqdn });
  assert.equal(decide("", alike, "register", node(fqdn)).allowed, false);
});

Deno.test("groups come from addresses, claims and issuers, and from authorities of ours", () => {
  const policy = parsePolicy(`groups:
  sre: { email: ["ann@mycorp.com", "*@sre.mycorp.com"] }
  ci: { issuer: "https://token.actions.githubusercontent.com", claims: { repository: mycorp/app } }
  both: [{ email: "*@mycorp.com" }, { kind: x509 }]
`);
  const table: [Partial<Identity>, string[]][] = [
    [{ email: "ann@mycorp.com" }, ["both", "sre"]],
    [{ email: "eve@sre.mycorp.com.evil" }, []],
    [{ issuer: "https://token.actions.githubusercontent.com", claims: { repository: "mycorp/app" } }, ["ci"]],
    [{ issuer: "https://token.actions.githubusercontent.com", claims: { repository: "mycorp/b" } }, []],
    [{ claims: { repository: "mycorp/app", groups: ["sre"] } }, []],
    [{ kind: "x509", groups: ["web"] }, ["both", "web"]],
  ];
  for (const [members, groups] of table) assert.deepEqual(policyGroupsOf(policy, identity(members)), groups);
});

Deno.test("claims are named by path, and a claim that is named with dots comes first", () => {
  const rule = (claims: string) => `rules: [{ who: { claims: { ${claims} } }, may: [admin] }]`;
  const who = identity({
    claims: {
      realm_access: { roles: ["dev", "ops"] },
      "kubernetes.io": { namespace: "prod", pod: { name: "web-1" } },
      "a.b": "outer",
      a: { b: "inner" },
    },
  });
  const table: [string, boolean][] = [
    ["realm_access.roles: ops", true],
    ["realm_access.roles: root", false],
    ['"kubernetes.io.namespace": prod', true],
    ['"kubernetes.io.pod.name": "web-*"', true],
    ['"kubernetes.io": prod', false],
    ["a.b: outer", true],
    ["a.b: inner", false],
    ["realm_access.constructor: x", false],
    ["toString: x", false],
  ];
  for (const [claims, allowed] of table) {
    assert.equal(decide(rule(claims), who, "admin").allowed, allowed, claims);
  }
});
