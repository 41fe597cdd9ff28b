import assert from "node:assert/strict";
import { explain, parsePolicy } from "../../src/identity/policy/mod.ts";
import { SshmError } from "../../src/sshm/exit_codes.ts";
import { type QuestionFlags, readQuestions } from "../../src/sshm/policy_question.ts";
import { answerJson, answerText } from "../../src/sshm/policy_report.ts";
import { temporaryFolder } from "../support/folder.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { run } from "../support/process.ts";

const POLICY = `
groups:
  sre: { email: ["ann@mycorp.com", "*@sre.mycorp.com"] }
rules:
  - name: pods register themselves
    who:  { trust_domain: prod.mycorp.com }
    may:  [register]
    what: { node: self }
  - name: sre reaches production
    who:  { group: sre }
    may:  [connect, login]
    what: { node: "*.prod.mycorp.com", port: [22, 5432] }
    as:   [app]
    from: [10.0.0.0/8]
    until: 2027-01-31T00:00:00Z
    max_session: 8h
  - name: web team publishes
    who:  { claims: { groups: web } }
    may:  [register, publish]
    what: { node: "web-*" }
    shared: true
  - name: builders dial the mirror
    who:  { issuer: "https://ci.example" }
    may:  dial
    what: { dial: "203.0.113.0/24:443" }
  - name: no production at night
    deny: true
    who:  anyone
    may:  connect
    what: { node: "frozen.prod.mycorp.com" }
`;

const NOW = Date.parse("2026-06-01T12:00:00Z");

function answer(flags: QuestionFlags) {
  const policy = parsePolicy(POLICY);
  return readQuestions(flags, NOW).map((question) => {
    const { identity, action, resource, context } = question;
    return { question, explanation: explain(policy, identity, action, resource, context) };
  });
}

const ann = { as: ["ann@mycorp.com"], may: ["connect"], what: "web.prod.mycorp.com:22", from: "10.1.2.3" };
const fingerprint = "SHA256:" + "A".repeat(43);

const DECISIONS: [title: string, flags: QuestionFlags, allowed: boolean, rule: string][] = [
  ["an e-mail address by its group", ann, true, "sre reaches production"],
  ["not from elsewhere", { ...ann, from: "192.0.2.1" }, false, "default deny"],
  ["not from nowhere", { ...ann, from: undefined }, false, "default deny"],
  ["not another port", { ...ann, what: "web.prod.mycorp.com:23" }, false, "default deny"],
  ["not after its time", { ...ann, at: "2027-02-01T00:00:00Z" }, false, "default deny"],
  [
    "not with an expired credential",
    { ...ann, expires: "2026-05-01T00:00:00Z" },
    false,
    "credential expired",
  ],
  ["a denial wins", { ...ann, what: "frozen.prod.mycorp.com:22" }, false, "no production at night"],
  [
    "a login name",
    { ...ann, may: ["login"], what: "web.prod.mycorp.com", login: "app" },
    true,
    "sre reaches production",
  ],
  [
    "another login name",
    { ...ann, may: ["login"], what: "web.prod.mycorp.com", login: "root" },
    false,
    "default deny",
  ],
  [
    "a workload under its trust domain registers its own name",
    {
      as: ["app@default.prod.mycorp.com"],
      trustDomain: "prod.mycorp.com",
      may: ["register"],
      what: "app.default.svc.prod.mycorp.com",
    },
    true,
    "pods register themselves",
  ],
  [
    "and no other",
    {
      as: ["app@default.prod.mycorp.com"],
      trustDomain: "prod.mycorp.com",
      may: ["register"],
      what: "db.default.svc.prod.mycorp.com",
    },
    false,
    "default deny",
  ],
  [
    "a claim",
    { as: ["jwt:bob"], claim: ["groups=dev", "groups=web"], may: ["publish"], what: "web-7:443" },
    true,
    "web team publishes",
  ],
  [
    "a token of a workload registers the workload's own name",
    {
      as: ["jwt:app@default.prod.mycorp.com"],
      trustDomain: "prod.mycorp.com",
      issuer: "https://cluster.example",
      subject: "system:serviceaccount:default:app",
      may: ["register"],
      what: "app.default.svc.prod.mycorp.com",
    },
    true,
    "pods register themselves",
  ],
  [
    "a join token enrols a key and does nothing else",
    { as: ["join:web"], domain: "gw.mycorp.com", may: ["register"], what: "web" },
    false,
    "join token",
  ],
  [
    "an enrolled key serves the name that it was given",
    { as: ["enrolled:web"], domain: "gw.mycorp.com", may: ["register"], what: "web" },
    true,
    "enrolled",
  ],
  [
    "and no other name",
    { as: ["enrolled:web"], domain: "gw.mycorp.com", may: ["register"], what: "db" },
    false,
    "default deny",
  ],
  [
    "a short name under the gateway's domain",
    { as: ["jwt:bob"], claim: ["groups=web"], may: ["register"], what: "web-7", domain: "gw.mycorp.com" },
    true,
    "web team publishes",
  ],
  [
    "an issuer that dials",
    { as: ["jwt:ci"], issuer: "https://ci.example", may: ["dial"], what: "203.0.113.9:443" },
    true,
    "builders dial the mirror",
  ],
  [
    "nobody dials back into the gateway",
    { as: ["jwt:ci"], issuer: "https://ci.example", may: ["dial"], what: "127.0.0.1:443" },
    false,
    "protected address",
  ],
  [
    "an owner's key",
    { as: [`key:${fingerprint}`], owner: true, may: ["register"], what: "anything" },
    true,
    "owner",
  ],
  ["a plain key", { as: [fingerprint], may: ["register"], what: "anything" }, false, "default deny"],
  [
    "an owner listens within the flags only",
    { as: [fingerprint], owner: true, may: ["listen"], what: "8080" },
    false,
    "default deny",
  ],
  [
    "what is published, anonymously",
    { as: ["anonymous"], may: ["connect"], what: "web-7:443", published: true },
    true,
    "published",
  ],
  ["oneself", { as: ["jwt:bob"], may: ["whoami"] }, true, "self-service"],
];

for (const [title, flags, allowed, rule] of DECISIONS) {
  Deno.test(`policy test decides as the gateway does: ${title}`, () => {
    const [{ explanation: { decision } }] = answer(flags);
    assert.deepEqual([decision.allowed, decision.rule], [allowed, rule]);
  });
}

const MISTAKES: [flags: QuestionFlags, sentence: RegExp][] = [
  [{ ...ann, may: ["fly"] }, /'fly' is no right: there are register, /],
  [{ ...ann, what: undefined }, /'connect' needs --what NODE\[:PORT\]/],
  [{ ...ann, what: "web:99999" }, /is no port/],
  [{ ...ann, what: "we b" }, /--what 'we b'/],
  [{ ...ann, from: "here" }, /--from 'here' is no IP address/],
  [{ ...ann, at: "tomorrow" }, /--at 'tomorrow' is not a time/],
  [{ ...ann, claim: ["x"] }, /--claim 'x' is not NAME=VALUE/],
  [{ ...ann, may: ["admin"] }, /'admin' is about nothing in particular/],
  [{ ...ann, may: ["dial"], what: "db.internal:5432" }, /say with --address/],
  [{ ...ann, as: ["ann@prod.mycorp.com"], trustDomain: "prod.mycorp.com" }, /lies under the trust domain/],
];

Deno.test("a question that makes no sense is a mistake, with a sentence", () => {
  for (const [flags, sentence] of MISTAKES) {
    assert.throws(() => answer(flags), (error: unknown) => {
      assert.ok(error instanceof SshmError && error.reason === "usage", String(error));
      assert.match(error.message, sentence);
      return true;
    });
  }
});

Deno.test("the answer names decision, rule, limits, and why each other rule misses, nearest first", () => {
  const [allowed] = answer(ann);
  assert.deepEqual(answerText(allowed).slice(0, 5), [
    "allowed: ann@mycorp.com connect web.prod.mycorp.com:22",
    "  rule: sre reaches production",
    "  why: the rule 'sre reaches production' allows it",
    "  lasts at most: 8h",
    "  logs in as: app",
  ]);
  const [denied] = answer({ ...ann, from: "192.0.2.1" });
  const lines = answerText(denied);
  assert.equal(lines[0], "denied: ann@mycorp.com connect web.prod.mycorp.com:22");
  const misses = lines.slice(lines.indexOf("  rules that miss:") + 1);
  assert.equal(misses[0], "    sre reaches production: from: 192.0.2.1 is not in 10.0.0.0/8");
  assert.equal(misses.length, 4);
  const json = answerJson(denied);
  assert.equal(json.allowed, false);
  assert.equal(json.told_to_peer, "administratively prohibited");
});

Deno.test("every --as is asked with every --may", () => {
  const asked = answer({ as: ["jwt:bob", "anonymous"], may: ["whoami", "admin"] });
  assert.deepEqual(
    asked.map(({ question, explanation }) => [question.as, question.action, explanation.decision.allowed]),
    [["jwt:bob", "whoami", true], ["jwt:bob", "admin", false], ["anonymous", "whoami", false], [
      "anonymous",
      "admin",
      false,
    ]],
  );
});

Deno.test("the program's exit code tells: allowed 0, denied 10, a broken policy 3, a wrong flag 2", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const policy = folder.write("policy.yaml", POLICY);
  const broken = folder.write(
    "broken.yaml",
    "rules:\n  - name: x\n    who: { grup: sre }\n    may: [connect]\n",
  );
  const sshm = (...args: string[]) => run(meshLine("sshm", args), { env });
  const test = [
    "policy",
    "test",
    "--as",
    "ann@mycorp.com",
    "--may",
    "connect",
    "--what",
    "db.prod.mycorp.com:5432",
  ];
  const at = ["--at", "2026-06-01T12:00:00Z"];
  const [allowed, denied, wrong, usage, checked, schema] = await Promise.all([
    sshm(...test, ...at, "--policy", policy, "--from", "10.0.0.1"),
    sshm(...test, ...at, "--policy", policy, "--json"),
    sshm("policy", "check", broken),
    sshm(...test, "--policy", policy, "--what", "a:b:c"),
    sshm("policy", "check", policy, "--json"),
    sshm("policy", "schema"),
  ]);
  assert.equal(allowed.code, 0, allowed.stderr);
  assert.match(allowed.text, /^allowed: /);
  assert.equal(denied.code, 10, denied.stderr);
  assert.equal(JSON.parse(denied.text).allowed, false);
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /^sshm: .*broken\.yaml:3:\d+: .*did you mean 'group'\?$/m);
  assert.equal(usage.code, 2, usage.stderr);
  assert.equal(JSON.parse(checked.text).rules.length, 5);
  assert.equal(JSON.parse(schema.text).title, "ssh-mesh policy");
});
