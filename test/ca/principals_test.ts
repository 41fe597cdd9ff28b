import assert from "node:assert/strict";
import { type Certified, hostPrincipals, principalFault, userPrincipals } from "../../src/ca/principals.ts";
import { CaError } from "../../src/ca/types.ts";

/** Somebody with a token. */
const called = (name: string, groups: readonly string[] = [], more: Partial<Certified> = {}): Certified => ({
  kind: "jwt",
  name,
  groups,
  ...more,
});
const refused = (error: unknown) => error instanceof CaError && error.code === "refused";

Deno.test("principal games: what could mean more than itself is never certified", () => {
  const games = [
    "",
    "deploy,root",
    ",root",
    "deploy root",
    "deploy\troot",
    "deploy\nroot",
    "deploy\0root",
    "*",
    "ann@*",
    "ro?t",
    "!root",
    'ann"root',
    "ann\\root",
    "ann\u00a0root",
    "ann\u2028root",
    "ann\u202egnp",
    "ann\u200broot",
    "\ud800",
    "\u001b[2J",
    "x".repeat(321),
  ];
  for (const name of games) {
    assert.notEqual(principalFault(name), undefined, JSON.stringify(name));
    assert.throws(() => userPrincipals(called(name), []), refused, JSON.stringify(name));
    assert.throws(() => userPrincipals(called("ann", [name]), []), refused, `group ${JSON.stringify(name)}`);
    assert.throws(() => hostPrincipals([name], { domain: "mesh.example", gateway: true }), refused);
  }
});

Deno.test("an empty group is none", () => {
  // `group:` alone would be a principal that verifiers compare with nothing in particular.
  assert.throws(() => userPrincipals(called("ann", [""]), []), refused);
});

Deno.test("a name that reads as a group is refused: nobody makes himself a member", () => {
  for (const name of ["group:sre", "Group:sre"]) {
    assert.throws(() => userPrincipals(called(name), []), refused, name);
  }
});

Deno.test("names of people, workloads and keys are principals, and groups follow", () => {
  const names: [string, Partial<Certified>?][] = [
    ["ann@mycorp.example"],
    ["ann+tag@mycorp.example"],
    ["web@shop.prod.example", { fqdn: "web.shop.svc.prod.example" }],
    ["build.my-project", { fqdn: "build.my-project.gcp.mesh.example" }],
    ["web.mesh.example", { kind: "key", fqdn: "web.mesh.example" }],
    ["SHA256:hGaFr0mwXr1Vmyz+A/4kfCYf1Vd3DN4Q6yOrIU1xG7k", { kind: "key" }],
    ["jörg@mycorp.example"],
    ["mycorp/app"],
    ["spiffe://prod.example/vm/7"],
  ];
  for (const [name, more] of names) {
    assert.deepEqual(userPrincipals(called(name, ["sre", "ci"], more), ["deploy"]), [
      name,
      "deploy",
      "group:sre",
      "group:ci",
    ]);
  }
  assert.deepEqual(userPrincipals(called("a@b", ["a", "a"]), ["a@b"]), ["a@b", "group:a"]);
});

Deno.test("no name that an issuer gives opens an account of a stock sshd: bare ones are marked", () => {
  for (const name of ["root", "Root", "12345", "auth0|7", "john.doe", "web.mesh.example", "localhost"]) {
    assert.deepEqual(userPrincipals(called(name), []), [`name:${name}`]);
  }
  // One label of a credential's own is one too; two bearers never share the mark.
  assert.deepEqual(userPrincipals(called("root", [], { kind: "x509", fqdn: "root" }), []), ["name:root"]);
  assert.throws(() => userPrincipals(called("name:root"), []), refused);
  assert.throws(() => userPrincipals(called("Name:root"), []), refused);
  // What the operator adds is an account's name where he wants one.
  assert.deepEqual(userPrincipals(called("root"), ["deploy"]), ["name:root", "deploy"]);
});

Deno.test("a name that reads as a key is that key's alone", () => {
  const name = "SHA256:hGaFr0mwXr1Vmyz+A/4kfCYf1Vd3DN4Q6yOrIU1xG7k";
  for (const kind of ["jwt", "oidc", "x509"] as const) {
    assert.throws(() => userPrincipals(called(name, [], { kind }), []), refused, kind);
    assert.throws(() => userPrincipals(called(name.toLowerCase(), [], { kind }), []), refused, kind);
  }
});

Deno.test("more groups than a certificate holds are refused and not cut short", () => {
  const groups = Array.from({ length: 256 }, (_, n) => `g${n}`);
  assert.throws(() => userPrincipals(called("ann", groups), []), refused);
  assert.equal(userPrincipals(called("ann", groups.slice(1)), []).length, 256);
});

Deno.test("a host certificate names full DNS names and nothing else", () => {
  const node = { domain: "mesh.example", gateway: false };
  const good = ["web.mesh.example", "web.shop.svc.prod.example", "xn--jrg-sna.example"];
  assert.deepEqual(hostPrincipals([...good, good[0]], node), good);
  const bad = [
    "mesh.example", // the gateway's
    "localhost",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "::1",
    "[::1]",
    "fd00::1",
    "*.mesh.example",
    "web",
    "Web.mesh.example",
    "web.mesh.example.",
    "web..mesh.example",
    "-web.mesh.example",
    "jörg.example",
    "web.mesh.example:22",
    "group:sre",
  ];
  for (const name of bad) assert.throws(() => hostPrincipals([good[0], name], node), refused, name);
  assert.throws(() => hostPrincipals([], node), refused);
});

Deno.test("the gateway's name, localhost too where that is its name, is the gateway's alone", () => {
  assert.deepEqual(hostPrincipals(["mesh.example"], { domain: "mesh.example", gateway: true }), [
    "mesh.example",
  ]);
  assert.deepEqual(hostPrincipals(["localhost"], { domain: "localhost", gateway: true }), ["localhost"]);
  assert.throws(() => hostPrincipals(["localhost"], { domain: "mesh.example", gateway: true }), refused);
  assert.throws(() => hostPrincipals(["localhost"], { domain: "localhost", gateway: false }), refused);
  assert.throws(() => hostPrincipals(["127.0.0.1"], { domain: "localhost", gateway: true }), refused);
  assert.deepEqual(hostPrincipals(["web.localhost"], { domain: "localhost", gateway: false }), [
    "web.localhost",
  ]);
});
