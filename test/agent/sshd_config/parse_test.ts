/** Files, blocks and errors. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseSshdConfig } from "../../../src/agent/sshd_config/parse.ts";
import { evaluate } from "../../../src/agent/sshd_config/evaluate.ts";
import { SshdConfigError } from "../../../src/agent/sshd_config/error.ts";
import { keywords } from "../../../src/agent/sshd_config/keywords.ts";
import { unsupported } from "../../../src/agent/sshd_config/unsupported.ts";
import { effective, files, login, parse } from "./in_memory.ts";

Deno.test("the first value counts, lists add up, and a matching block replaces what is outside", async () => {
  const text = `
    PermitTTY no
    PermitTTY yes
    AcceptEnv A
    AcceptEnv B C
    AllowUsers x
    Match User root
      PermitTTY yes
      AllowUsers root
      SetEnv A=1
    Match Group wheel
      PermitTTY no
      AllowUsers wheel
      ForceCommand  echo "a  b"  # not a comment
    Match User bob
      X11Forwarding no
      Banner /bob
  `;
  const outside = await effective(text);
  assert.deepEqual([outside.permitTTY, outside.acceptEnv, outside.allowUsers], [false, ["A", "B", "C"], [
    "x",
  ]]);
  const inside = await effective(text, login);
  assert.deepEqual([inside.permitTTY, inside.allowUsers], [true, ["root", "wheel"]]);
  assert.equal(inside.forceCommand, 'echo "a  b"  # not a comment');
  assert.deepEqual([...inside.setEnv], [["A", "1"]]);
  assert.equal(inside.banner, null);
  assert.equal((await effective(text, { ...login, user: "bob", groups: [] })).banner, "/bob");
});

Deno.test("Match knows its criteria, together, negated and in any case", async () => {
  const table: [string, boolean][] = [
    ["User root", true],
    ["user=root", true],
    ["User = root", true],
    ["User root,bob", true],
    ["User !root", false],
    ["User *,!root", false],
    ["User Root", false],
    ["Group wheel", true],
    ["Group users", false],
    ["Group *,!root", false],
    ["Host *.EXAMPLE", true],
    ["Address 1.2.3.0/24", true],
    ["Address 1.2.4.0/24,1.2.*", true],
    ["LocalAddress 10.0.0.0/8", true],
    ["LocalPort 2222", true],
    ["LocalPort 22", false],
    ["User root Address 9.9.9.9", false],
    ["User root Address 1.2.3.4 LocalPort 2222", true],
    ["All", true],
    ["invalid-user", false],
  ];
  for (const [criteria, expected] of table) {
    const config = await effective(`Match ${criteria}\nPermitTTY no`, login);
    assert.equal(config.permitTTY, !expected, criteria);
  }
  const nobody = { ...login, groups: undefined };
  assert.equal((await effective("Match invalid-user\nPermitTTY no", nobody)).permitTTY, false);
});

Deno.test("Include takes all that match, in order, where it stands; a Match ends with its file", async () => {
  const included = {
    "/etc/ssh/d/2.conf": "Banner /two\nPermitTTY no",
    "/etc/ssh/d/1.conf": "Banner /one\nMatch User root\nMaxSessions 7\nMatch User other\nMaxSessions 8",
    "/x/match.conf": "ForceCommand inner\nMatch User bob\nGatewayPorts yes",
  };
  const text =
    "Include d/*.conf /none/*.conf\nMaxSessions 9\nMatch User root\nInclude /x/match.conf\nBanner /m";
  const parsed = await parse(text, included);
  assert.equal(evaluate(parsed).banner, "/one");
  assert.equal(evaluate(parsed).permitTTY, false);
  assert.equal(evaluate(parsed).maxSessions, 9);
  const root = evaluate(parsed, login);
  assert.deepEqual([root.maxSessions, root.forceCommand, root.banner], [7, "inner", "/m"]);
  // Inside "Match User root", a "Match User bob" of an included file can never hold.
  assert.equal(evaluate(parsed, { ...login, user: "bob" }).gatewayPorts, "no");
});

Deno.test("an error names file and line, also in included files and in blocks that never match", async () => {
  const table: [string, string][] = [
    ["\nPermitTTY maybe", "/c:2: PermitTTY is one of yes, no, not 'maybe'"],
    ["Prot 22", "/c:1: there is no keyword 'Prot'"],
    ["Port", "/c:1: Port needs an argument"],
    ["Port # 22", "/c:1: Port needs an argument"],
    ["Port 22 23", "/c:1: Port takes one argument; '23' is too much"],
    ['Banner "a', "/c:1: a quote is not closed"],
    ["Match User x\nPort 22", "/c:2: Port is not allowed within a Match block"],
    ["Match User x\nPermitTTY maybe", "/c:2: PermitTTY is one of yes, no, not 'maybe'"],
    ["Match RDomain x", "/c:1: Match RDomain is not supported: there are no routing domains"],
    ["Match User", "/c:1: Match User needs an argument"],
    ["Match Foo x", "/c:1: Match does not know 'Foo'"],
    ["Match All User x", "/c:1: Match all stands alone"],
    ["Match Address 1.2.3.4/8", "/c:1: '1.2.3.4/8' is not an address range, or has bits set beyond its mask"],
    ["Include /i", "/i:2: '5x' is not a time"],
    [
      "ChrootDirectory /x",
      "/c:1: ChrootDirectory /x would confine sessions, and nothing here does: take the line out to go without",
    ],
  ];
  for (const [text, message] of table) {
    await assert.rejects(parse(text, { "/i": "#\nLoginGraceTime 5x" }), (error) => {
      assert.ok(error instanceof SshdConfigError);
      assert.equal(error.message, message);
      return true;
    }, text);
  }
  await assert.rejects(
    parseSshdConfig("/none", files({})),
    /^SshdConfigError: \/none: cannot be read: no such file$/,
  );
});

Deno.test("an Include that includes itself ends", async () => {
  await assert.rejects(parse("Include /c"), /deeper than 16/);
});

Deno.test("no text makes the parser do anything but answer or refuse with a position", async () => {
  const word = fc.oneof(
    fc.constantFrom(
      ...Object.keys(keywords),
      ...Object.keys(unsupported),
      "match",
      "include",
      "yes",
      "no",
      "none",
      "=",
      '"',
      "'",
      "#",
      "\\",
      "1.2.3.4/8",
      "user",
      "*",
      "\t",
      "1h",
      "a:b",
    ),
    fc.string(),
  );
  const text = fc.array(fc.array(word, { maxLength: 5 }).map((words) => words.join(" "))).map((lines) =>
    lines.join("\n")
  );
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      try {
        evaluate(await parse(text), login);
      } catch (error) {
        if (!(error instanceof SshdConfigError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
