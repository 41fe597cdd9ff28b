import assert from "node:assert/strict";
import { anonymous, type Identity, keyIdentity } from "../../../src/identity/principal.ts";
import {
  authorize,
  emptyPolicy,
  explain,
  parsePolicy,
  type Policy,
  type Resource,
  rights,
} from "../../../src/identity/policy/mod.ts";
import { parseDialRange, parsePortRange } from "../../../src/identity/ranges.ts";
import { ann, bob, db, gateway, identity, node, now, office, owner, pod, policy, web } from "./first_page.ts";

Deno.test("a decision carries login names, session limit and sharing of the rules that allow", () => {
  const connect = authorize(policy, ann, "connect", db, office);
  assert.equal(connect.maxSession, 8 * 3_600_000);
  assert.deepEqual(connect.as, ["app"]);
  const register = authorize(policy, web, "register", node("web-1"), office);
  assert.equal(register.shared, true);
  assert.equal(register.maxSession, undefined);
  assert.equal(authorize(policy, pod, "register", node(pod.fqdn!), office).shared, false);
});

Deno.test("of several rules that allow, the most generous limits hold", () => {
  const rules = (second: string) =>
    parsePolicy(`
rules:
  - { name: short, who: authenticated, may: connect, what: { node: "*" }, max_session: 1h, as: a }
  - { name: long,  who: authenticated, may: connect, what: { node: "*" }, ${second} }
`);
  const both = authorize(rules("max_session: 2h, as: [b, a]"), ann, "connect", db, office);
  assert.equal(both.maxSession, 7_200_000);
  assert.deepEqual(both.as, ["a", "b"]);
  const unlimited = authorize(rules("from: 10.0.0.0/8"), ann, "connect", db, office);
  assert.equal(unlimited.maxSession, undefined);
  assert.equal(unlimited.as, undefined);
});

Deno.test("a rule that denies wins over every rule that allows, wherever it stands, and over ownership", () => {
  const allow = `  - { name: all, who: authenticated, may: connect, what: { node: "*" } }\n`;
  const deny = `  - { name: not this, who: anyone, may: connect, what: { node: secret }, deny: true }\n`;
  for (const order of [allow + deny, deny + allow]) {
    const policy = parsePolicy(`rules:\n${order}`);
    for (const who of [ann, owner]) {
      const refused = authorize(policy, who, "connect", node("secret", 22), office);
      assert.deepEqual([refused.allowed, refused.rule], [false, "not this"]);
      assert.equal(refused.peerSentence, "administratively prohibited");
      assert.equal(authorize(policy, who, "connect", node("other", 22), office).allowed, true);
    }
    const published = authorize(
      policy,
      anonymous,
      "connect",
      node("secret", 80, { published: true }),
      office,
    );
    assert.equal(published.allowed, false);
  }
});

Deno.test("a rule that denies holds where its condition cannot be judged", () => {
  const policy = parsePolicy(`
rules:
  - { name: all, who: authenticated, may: [connect, exec, dial], what: { node: "*", dial: ["*:1-65535", "0.0.0.0/0:1-65535"] } }
  - { name: cafe, who: anyone, may: connect, deny: true, from: 192.0.2.0/24 }
  - { name: root, who: anyone, may: exec, deny: true, as: root }
  - { name: no ssh inside, who: anyone, may: dial, deny: true, what: { dial: "10.0.0.0/8:22" } }
`);
  assert.equal(authorize(policy, ann, "connect", db, { now }).rule, "cafe");
  assert.equal(authorize(policy, ann, "connect", db, office).allowed, true);
  assert.equal(authorize(policy, ann, "exec", db, office).rule, "root");
  assert.equal(authorize(policy, ann, "exec", db, { ...office, login: "app" }).allowed, true);
  const named: Resource = { kind: "address", host: "db.internal", port: 22, via: { name: "edge" } };
  assert.equal(authorize(policy, ann, "dial", named, office).rule, "no ssh inside");
  assert.equal(authorize(policy, ann, "dial", { ...named, port: 23 }, office).allowed, true);
});

Deno.test("a rule that denies without rights denies them all", () => {
  const policy = parsePolicy(`rules: [{ who: { email: ann@mycorp.com }, deny: true }]`);
  const resources = {
    node: db,
    dial: { kind: "address", address: "10.0.0.1", port: 1, via: "gateway" },
    listen: { kind: "listener", port: 1 },
  } as const;
  for (const right of rights) {
    const resource: Resource = right === "dial" || right === "listen"
      ? resources[right]
      : ["cert", "assert", "admin", "audit"].includes(right)
      ? gateway
      : resources.node;
    assert.equal(authorize(policy, { ...ann, owner: true }, right, resource, office).rule, "rule 1", right);
    assert.notEqual(authorize(policy, bob, right, resource, office).rule, "rule 1", right);
  }
});

Deno.test("an expired credential opens nothing, an owner's neither; what is open goes on", () => {
  const expired = { ...owner, expiresAt: now };
  const decision = authorize(policy, expired, "connect", db, office);
  assert.equal(decision.rule, "credential expired");
  assert.match(decision.peerSentence, /expired at 2026-08-01T12:00:00\.000Z; get a new one/);
  assert.equal(authorize(policy, { ...owner, expiresAt: now + 1 }, "connect", db, office).allowed, true);
  assert.equal(authorize(policy, expired, "connect", db, { ...office, open: true }).allowed, true);
});

Deno.test("a credential's source addresses hold for every action; present but empty is nowhere", () => {
  const cases: [string[] | undefined, string | undefined, boolean][] = [
    [undefined, undefined, true],
    [["10.0.0.0/8"], "10.9.9.9", true],
    [["10.0.0.0/8"], "11.9.9.9", false],
    [["10.0.0.0/8"], undefined, false],
    [["10.1.2.3"], "10.1.2.3", true],
    [["fd00::/8"], "fd00::1", true],
    [["fd00::/8"], "10.1.2.3", false],
    [[], "10.1.2.3", false],
    [["nonsense", "10.0.0.1/8"], "10.1.2.3", false],
  ];
  for (const [sourceAddresses, sourceAddress, allowed] of cases) {
    const who = { ...owner, restrictions: { ...(sourceAddresses && { sourceAddresses }) } };
    for (const [action, resource] of [["connect", db], ["whoami", gateway], ["cert", gateway]] as const) {
      const context = { now, ...(sourceAddress !== undefined && { sourceAddress }) };
      const decision = authorize(policy, who, action, resource, context);
      assert.equal(decision.allowed, allowed, `${sourceAddresses} from ${sourceAddress}: ${action}`);
    }
  }
});

Deno.test("a credential without port forwarding registers, connects, dials and listens nowhere", () => {
  const who = { ...owner, restrictions: { portForwarding: false } };
  assert.equal(authorize(policy, who, "connect", db, office).rule, "credential's restrictions");
  assert.equal(authorize(policy, who, "register", db, office).allowed, false);
  assert.equal(authorize(policy, who, "whoami", gateway, office).allowed, true);
});

Deno.test("owners dial and listen within the flags, and a wide range does not open the gateway itself", () => {
  const policy: Policy = {
    ...emptyPolicy,
    owners: {
      dial: ["0.0.0.0/0:1-65535", "127.0.0.1:5432"].map((text) => parseDialRange(text)),
      listen: [parsePortRange("8000-8100")],
    },
  };
  const dial = (address: string, port: number, who = owner) =>
    authorize(policy, who, "dial", { kind: "address", address, port, via: "gateway" }, office).allowed;
  assert.equal(dial("10.0.0.1", 80), true);
  assert.equal(dial("127.0.0.1", 5432), true);
  for (const address of ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "::ffff:127.0.0.1"]) {
    assert.equal(dial(address, 15020), false, address);
  }
  assert.equal(dial("not resolved", 80), false);
  assert.equal(dial("10.0.0.1", 80, keyIdentity({ fingerprint: "SHA256:x", owner: false })), false);
  const listen = (port: number) =>
    authorize(policy, owner, "listen", { kind: "listener", port }, office).allowed;
  assert.deepEqual([7999, 8000, 8100, 8101].map(listen), [false, true, true, false]);
});

Deno.test("rules open destinations, but never the gateway's own machine to others than owners", () => {
  const policy = parsePolicy(`
rules:
  - { name: db, who: authenticated, may: dial, what: { dial: ["10.0.0.0/8:5432", "db.internal:5432"] } }
  - { name: named, who: authenticated, may: dial, what: { dial: ["127.0.0.1:80", "169.254.169.254:80", "evil.example:80"] } }
  - { name: edge, who: authenticated, may: dial, what: { dial: "192.168.0.0/16:1-65535", via: "edge-*" } }
  - { name: own, who: authenticated, may: dial, what: { dial: "172.16.0.0/12:22", via: gateway } }
`);
  const dial = (resource: Omit<Extract<Resource, { kind: "address" }>, "kind">, who = ann) =>
    authorize(policy, who, "dial", { kind: "address", ...resource }, office);
  const via = "gateway";
  const edge = { name: "edge-1.localhost", aliases: ["edge-1"] };
  assert.equal(dial({ address: "10.2.3.4", port: 5432, via }).rule, "db");
  assert.equal(dial({ address: "10.2.3.4", port: 5433, via }).allowed, false);
  assert.equal(dial({ address: "8.8.8.8", host: "db.internal", port: 5432, via }).rule, "db");
  assert.equal(
    dial({ address: "127.0.0.1", host: "db.internal", port: 5432, via }).rule,
    "protected address",
  );
  for (const address of ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0"]) {
    assert.equal(dial({ address, host: "evil.example", port: 80, via }).rule, "protected address", address);
  }
  assert.equal(dial({ address: "127.0.0.1", port: 80, via }, owner).rule, "named");
  assert.equal(dial({ address: "127.0.0.1", host: "evil.example", port: 81, via }, owner).allowed, false);
  assert.equal(dial({ address: "192.168.1.1", port: 1, via }).allowed, false);
  assert.equal(dial({ address: "192.168.1.1", port: 1, via: edge }).rule, "edge");
  assert.equal(dial({ address: "192.168.1.1", port: 1, via: { name: "other" } }).allowed, false);
  assert.equal(dial({ address: "172.16.0.1", port: 22, via }).rule, "own");
  assert.equal(dial({ address: "172.16.0.1", port: 22, via: edge }).allowed, false);
  assert.equal(dial({ port: 80, via }).allowed, false);
});

Deno.test("groups match by their definition, or when our own authority vouches for them", () => {
  const ci = identity({
    issuer: "https://token.actions.githubusercontent.com",
    claims: { repository: "mycorp/app" },
  });
  const policy = parsePolicy(`
groups: { ci: [{ issuer: https://token.actions.githubusercontent.com, claims: { repository: mycorp/app } }, { subject: deploy }] }
rules: [{ who: { group: ci }, may: connect, what: { node: "*" } }]
`);
  const may = (who: Identity) => authorize(policy, who, "connect", db, office).allowed;
  assert.equal(may(ci), true);
  assert.equal(may({ ...ci, claims: { repository: "evil/app" } }), false);
  assert.equal(may({ ...ci, issuer: "https://token.actions.githubusercontent.com.evil" }), false);
  assert.equal(may(identity({ subject: "deploy" })), true);
  assert.equal(may(identity({ groups: ["ci"] })), true);
  assert.equal(may(identity({ claims: { groups: ["ci"] } })), false);
});

Deno.test("a refusal tells the operator the near misses and the peer nothing about what exists", () => {
  const decision = authorize(policy, ann, "connect", db, { now, sourceAddress: "192.0.2.1" });
  assert.deepEqual(decision.nearMisses, [{
    rule: "sre reaches production",
    why: ["from: 192.0.2.1 is not in 10.0.0.0/8"],
  }]);
  assert.equal(decision.reason, "no rule lets ann@mycorp.com connect db.shop.svc.prod.mycorp.com:5432");
  assert.equal(decision.peerSentence, "administratively prohibited");
  const elsewhere = authorize(policy, ann, "connect", node("nothing.here", 1), office);
  assert.equal(elsewhere.peerSentence, decision.peerSentence);
});

Deno.test("explain lists every rule with every condition that failed", () => {
  const { decision, rules } = explain(policy, web, "connect", node("db.prod.mycorp.com", 80), office);
  assert.equal(decision.allowed, false);
  assert.deepEqual(
    rules.map(({ rule, matched, why }) => [rule, matched, why.map((miss) => miss.split(":")[0])]),
    [
      ["pods register themselves", false, ["may", "who", "what"]],
      ["sre reaches production", false, ["who", "what"]],
      ["web team publishes", false, ["may", "what"]],
    ],
  );
  assert.match(rules[1].why[0], /^who: not group: sre$/);
});

Deno.test("asking about the wrong kind of thing is a programming error", () => {
  assert.throws(
    () => authorize(policy, ann, "connect", gateway, office),
    /'connect' is about a node, not about a gateway/,
  );
  assert.throws(() => authorize(policy, ann, "whoami", db, office), TypeError);
});

Deno.test("the empty policy is the defaults alone", () => {
  assert.deepEqual(parsePolicy(""), emptyPolicy);
  assert.equal(authorize(emptyPolicy, ann, "connect", db, office).allowed, false);
  assert.equal(authorize(emptyPolicy, owner, "connect", db, office).allowed, true);
});
