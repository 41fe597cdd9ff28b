import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePolicy, PolicyError, policyJsonSchema } from "../../../src/identity/policy/mod.ts";

/** A rule without mistakes but for `extra`. */
const rule = (extra: string, what = 'node: "*"', may = "connect") =>
  `rules:\n  - { name: r, who: authenticated, may: ${may}, what: { ${what} }, ${extra} }`;

/** Text, with `»` before each place that has a mistake; then a part of each sentence. */
const mistakes: [string, string, ...RegExp[]][] = [
  [
    "an unknown key",
    "rules:\n  - who: authenticated\n    »my: [connect]\n    may: admin",
    /rules\[1\]\.my: is not a key that exists here; did you mean 'may'\?/,
  ],
  ["an unknown key at the top", "»rule: []", /rule: .*did you mean 'rules'/],
  [
    "an unknown condition",
    "rules:\n  - { who: { »grup: sre }, may: admin }",
    /rules\[1\]\.who\.grup: .*did you mean 'group'/,
  ],
  [
    "an unknown condition in a list",
    'rules:\n  - who: [{ email: "*" }, { »mail: x }]\n    may: admin',
    /who\[2\]\.mail: .*did you mean 'email'/,
  ],
  [
    "an unknown right",
    rule("as: a", undefined, "[»conect]"),
    /'conect' is not known here; did you mean 'connect'/,
  ],
  [
    "a right that no word is near",
    rule("as: a", undefined, "»everything"),
    /must be rights: register, publish/,
  ],
  ["rules that are no list", "rules: »{ a: 1 }", /must be a list of rules/],
  ["a rule without who", "rules:\n  - »{ may: admin }", /rules\[1\]\.who: is missing; it must be conditions/],
  ["a rule without may", "rules:\n  - »{ who: authenticated }", /'may' is missing/],
  ["an empty who", "rules:\n  - { who: »{}, may: admin }", /would mean everybody/],
  ["an empty group", "groups: { a: »{} }", /would mean everybody/],
  [
    "a group nobody defined",
    'groups: { sre: { email: "*@x" } }\nrules:\n  - { who: { group: »srr }, may: admin }',
    /no group 'srr' is defined under 'groups'; did you mean 'sre'/,
  ],
  ["a group with blanks in its name", 'groups: { »"a b": { email: "*@x" } }', /letters, digits/],
  [
    "node rights without a node",
    "rules:\n  - »{ who: authenticated, may: connect }",
    /gives 'connect' and does not say on what: add what: \{ node/,
  ],
  [
    "dial without a destination",
    rule("as: a", "via: x", "dial").replace("what: ", "what: »"),
    /gives 'dial'.*add what: \{ dial/,
  ],
  [
    "listen without a port",
    rule("as: a", "»port: 8080", "listen").replace("what: ", "what: »"),
    /add what: \{ listen/,
    /'port' means nothing here/,
  ],
  [
    "a part of what that nothing uses",
    rule("as: a", 'node: "*", »dial: "10.0.0.1:1"'),
    /'dial' means nothing here/,
  ],
  ["a bad address range", rule("from: »10.0.0.1/8"), /from: .*did you mean 10\.0\.0\.0\/8/],
  ["a bad address in a list", rule("from: [10.0.0.0/8, »here]"), /from\[2\]: 'here' is not an IP address/],
  ["a prefix too long", rule("from: »10.0.0.0/33"), /0-32/],
  ["a time without its zone", rule("until: »2027-01-31"), /not a time with its zone/],
  ["a time that does not exist", rule('until: »"2027-13-31T00:00:00Z"'), /not a time/],
  ["a duration without a unit", rule('max_session: »"8"'), /not a duration/],
  ["a duration that is a number", rule("max_session: »8"), /must be a duration such as 8h/],
  ["a bad port", rule("as: a", 'node: "*", port: »70000'), /what\.port: '70000' is not a port/],
  ["a port range upside down", rule("as: a", 'node: "*", port: [22, »90-80]'), /port\[2\]: .*90 is above 80/],
  ["a bad name pattern", rule("as: a", 'node: »"a b"'), /what\.node: 'a b' is not a DNS name or a pattern/],
  ["a bad name pattern in a list", rule("as: a", 'node: [self, »"-a"]'), /what\.node\[2\]: '-a' is not/],
  ["a bad destination", rule("as: a", 'dial: »"10.0.0.0/8"', "dial"), /is not a destination: write/],
  ["a number that looks like an address", rule("as: a", 'dial: »"10.1:80"', "dial"), /not an IP address/],
  ["shared that is no boolean", rule('shared: »"yes"'), /must be true or false/],
  [
    "a limit in a rule that denies",
    rule("deny: true, max_session: »8h"),
    /means nothing in a rule that denies/,
  ],
  [
    "two rules of one name",
    "rules:\n  - { name: a, who: anyone, deny: true }\n  - { name: »a, who: anyone, deny: true }",
    /a second rule is called 'a'/,
  ],
  ["a key twice", "rules: []\n»rules: []", /unique/],
  ["an indentation slip", "rules:\n  - name: a\n»   who: b", /Sequence item/],
  ["no map at all", "»hello", /expected object/],
  [
    "JSON too",
    '{\n "rules": [\n  {"who": »"everybody", "may": "admin"}\n ]\n}',
    /rules\[1\]\.who: must be conditions/,
  ],
];

for (const [title, marked, ...sentences] of mistakes) {
  Deno.test(`policy file: ${title} is told with its place`, () => {
    const parts = marked.split("»");
    const places = parts.slice(1).map((_, i) => {
      const before = parts.slice(0, i + 1).join("").split("\n");
      return [before.length, before.at(-1)!.length + 1];
    });
    const problems = problemsOf(parts.join(""));
    assert.deepEqual(problems.map(({ line, column }) => [line, column]), places, JSON.stringify(problems));
    assert.equal(problems.length, sentences.length);
    for (const [i, sentence] of sentences.entries()) assert.match(problems[i].message, sentence);
  });
}

function problemsOf(text: string) {
  try {
    parsePolicy(text, { file: "policy.yaml" });
  } catch (error) {
    assert(error instanceof PolicyError);
    assert.equal(error.message.split("\n").length >= error.problems.length, true);
    assert.match(error.message, /^policy\.yaml:\d+:\d+: /);
    return error.problems;
  }
  assert.fail("the policy was accepted");
}

Deno.test("every mistake of a file is told at once, in the order of the lines", () => {
  const problems = problemsOf(`rules:
  - { name: a, who: authenticated, may: connect, what: { node: "*" }, from: nowhere, until: never }
  - { name: b, who: { group: g }, may: admin }`);
  assert.deepEqual(problems.map(({ line }) => line), [2, 2, 3]);
});

Deno.test("a document that multiplies itself by aliases is refused", () => {
  const levels = Array.from(
    { length: 9 },
    (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`,
  );
  assert.throws(() => parsePolicy([`a0: &a0 [x]`, ...levels].join("\n")), PolicyError);
});

Deno.test("a document beyond the limit is refused before it is read", () => {
  assert.throws(() => parsePolicy("#".repeat(5 * 1024 * 1024)), /longer than/);
});

Deno.test("a document that is deep or wide is refused, or read, in no time", () => {
  const nested = (count: number) => Array.from({ length: count }, (_, i) => `${" ".repeat(i)}a:`).join("\n");
  const deep = ["[".repeat(4_000_000), "{a: ".repeat(1_000_000), "- ".repeat(1_000_000), nested(2500)];
  const began = performance.now();
  for (const text of deep) assert.throws(() => parsePolicy(text), /nested more than 32 levels/);
  const groups = Array.from({ length: 4000 }, (_, i) => `  g${i}: { name: n${i} }`).join("\n");
  parsePolicy(`groups:\n${groups}`);
  assert.ok(performance.now() - began < 10_000);
});

Deno.test("any text is either a policy or refused with places, and nothing else", () => {
  const words = fc.constantFrom(
    "rules",
    "groups",
    ": ",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "who",
    "may",
    "connect",
    "&a",
    "*a",
    '"',
    "'",
    "#",
    "what",
    "node",
    "~",
    "1",
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 30 }), (parts) => {
      try {
        parsePolicy(parts.join(""));
      } catch (error) {
        assert(error instanceof PolicyError, String(error));
        assert(error.problems.every(({ line, column }) => line >= 1 && column >= 1));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("the JSON Schema knows the levels and refuses unknown keys", () => {
  const schema = JSON.parse(JSON.stringify(policyJsonSchema()));
  assert.equal(schema.title, "ssh-mesh policy");
  assert.equal(schema.additionalProperties, false);
  const rule = schema.properties.rules.items;
  assert.equal(rule.additionalProperties, false);
  assert.deepEqual(rule.required, ["who"]);
  assert(
    Object.values(rule.properties).every((property) =>
      (property as { description?: string }).description !== ""
    ),
  );
});
