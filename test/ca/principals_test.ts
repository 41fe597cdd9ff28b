import assert from "node:assert/strict";
import { hostPrincipals, principalFault, userPrincipals } from "../../src/ca/principals.ts";
import { CaError } from "../../src/ca/types.ts";

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
    assert.throws(() => userPrincipals({ name, groups: [] }, []), refused, JSON.stringify(name));
    assert.throws(
      () => userPrincipals({ name: "ann", groups: [name] }, []),
      refused,
      `group ${JSON.stringify(name)}`,
    );
    assert.throws(() => hostPrincipals([name], { domain: "mesh.example", gateway: true }), refused);
  }
});

Deno.test("an empty group is none", () => {
  // `group:` alone would be a principal that verifiers compare with nothing in particular.
  assert.throws(() => userPrincipals({ name: "ann", groups: [""] }, []), refused);
});

Deno.test("a name that reads as a group is refused: nobody makes himself a member", () => {
  assert.throws(() => userPrincipals({ name: "group:sre", groups: [] }, []), refused);
});

Deno.test("names of people, workloads and keys are principals, and groups follow", () => {
  const names = [
    "ann@mycorp.example",
    "ann+tag@mycorp.example",
    "web@shop.prod.example",
    "SHA256:hGaFr0mwXr1Vmyz+A/4kfCYf1Vd3DN4Q6yOrIU1xG7k",
    "jörg@mycorp.example",
    "12345",
  ];
  for (const name of names) {
    assert.deepEqual(userPrincipals({ name, groups: ["sre", "ci"] }, ["deploy"]), [
      name,
      "deploy",
      "group:sre",
      "group:ci",
    ]);
  }
  assert.deepEqual(userPrincipals({ name: "ann", groups: ["a", "a"] }, ["ann"]), ["ann", "group:a"]);
});

Deno.test("more groups than a certificate holds are refused and not cut short", () => {
  const groups = Array.from({ length: 256 }, (_, n) => `g${n}`);
  assert.throws(() => userPrincipals({ name: "ann", groups }, []), refused);
  assert.equal(userPrincipals({ name: "ann", groups: groups.slice(1) }, []).length, 256);
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
