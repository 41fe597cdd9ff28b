import assert from "node:assert/strict";
import type { AgentConfig } from "../../src/agent/config.ts";
import { AgentError } from "../../src/agent/exit_codes.ts";
import { parseExposure } from "../../src/agent/exposure.ts";
import { parseFlags } from "../../src/agent/flags.ts";
import { formatGateway, parseGatewayAddress } from "../../src/agent/gateway_address.ts";
import { parseConnect, parseLocalForward } from "../../src/agent/local_forward.ts";
import { parsePrincipalGrant, principalsFor } from "../../src/agent/principals.ts";

const KEY = `SHA256:${"a".repeat(43)}`;

function parse(args: readonly string[], environment: Record<string, string> = {}): AgentConfig {
  const parsed = parseFlags({ args, environment: (name) => environment[name] });
  assert.ok(!("help" in parsed));
  return parsed;
}

function mistake(args: readonly string[], environment: Record<string, string> = {}): string {
  try {
    parse(args, environment);
  } catch (error) {
    assert.ok(error instanceof AgentError);
    assert.equal(error.reason, "usage");
    assert.ok(!error.message.includes("\n"), "one sentence");
    return error.message;
  }
  assert.fail(`${args.join(" ")} was taken`);
}

Deno.test("a gateway is all that must be said", () => {
  const config = parse(["--gateway", "gw.example.com"], { HOME: "/home/ann" });
  assert.deepEqual(config.gateways, [{ hostname: "gw.example.com", port: 15022 }]);
  assert.deepEqual(config.exposures, [{ port: 22, target: "ssh" }]);
  assert.equal(config.state, "/home/ann/.local/state/ssh-mesh");
  assert.equal(config.login.home, "/home/ann");
  assert.equal(config.login.authorizedKeys, undefined);
  assert.deepEqual(config.command, []);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.login) && Object.isFrozen(config.gateways));
});

Deno.test("every flag is read, and those that may be repeated are", () => {
  const config = parse([
    ...["--gateway", "a:1", "--gateway", "ssh://bob@[::1]:2/", "--name", "web", "--identity", "/k"],
    ...["--known-hosts", "/h1", "--known-hosts", "/h2", "--gateway-key", `${KEY}=`, "--private"],
    ...["--expose", "22", "--expose", "80:localhost:8080", "--allow-dial", "10.0.0.0/8:5432"],
    ...["--authorized-keys", "/a", "--trust-user-ca", "gateway", "--trust-user-ca", "/ca"],
    ...["--allow-principal", "ann@x.org", "--allow-principal", "app=bob", "--connect", "db"],
    ...["-L", "5432:db:5432", "--state", "/s", "--log", "json", "--check"],
  ]);
  assert.deepEqual(config.gateways, [{ hostname: "a", port: 1 }, { hostname: "::1", port: 2, user: "bob" }]);
  assert.deepEqual(config.trust, { knownHosts: ["/h1", "/h2"], gatewayKeys: [KEY] });
  assert.deepEqual(config.exposures, [
    { port: 22, target: "ssh" },
    { port: 80, target: { host: "localhost", port: 8080 } },
  ]);
  assert.deepEqual(config.allowDial.map(({ text }) => text), ["10.0.0.0/8:5432"]);
  assert.deepEqual(config.login.userCas, ["gateway", "/ca"]);
  assert.deepEqual(config.login.principals, [{ principal: "ann@x.org" }, { user: "app", principal: "bob" }]);
  assert.deepEqual(config.forwards.map(({ target }) => target), [{ host: "db", port: 22 }, {
    host: "db",
    port: 5432,
  }]);
  assert.deepEqual([config.private, config.check, config.log, config.state], [true, true, "json", "/s"]);
});

Deno.test("what follows -- is the child's, flags and all", () => {
  const { command } = parse(["--gateway", "a:1", "--", "sh", "-c", "exit 3", "--name", "x"]);
  assert.deepEqual(command, ["sh", "-c", "exit 3", "--name", "x"]);
  // Without the two dashes the first word that is no flag begins it.
  assert.deepEqual(parse(["--gateway", "a:1", "sleep", "--help"]).command, ["sleep", "--help"]);
});

Deno.test("variables stand for flags, and flags win", () => {
  const environment = {
    SSHM_GATEWAY: "a:1 b:2",
    SSHM_NAME: "fromenv",
    SSHM_EXPOSE: "22 8080",
    SSHM_PRIVATE: "true",
    SSHM_LOG: "json",
  };
  const config = parse(["--name", "flag"], environment);
  assert.deepEqual(config.gateways.map(formatGateway), ["a:1", "b:2"]);
  assert.deepEqual([config.name, config.private, config.log], ["flag", true, "json"]);
  assert.equal(config.exposures.length, 2);
  assert.deepEqual(parse(["--gateway", "c:3"], environment).gateways.map(formatGateway), ["c:3"]);
});

Deno.test("upstream's variables name the folder and the keys", () => {
  const config = parse(["--gateway", "a:1"], {
    HOME: "/home/ann",
    SSHM_CFGDIR: "/etc/mesh",
    SSH_AUTHORIZED_KEYS: "ssh-ed25519 AAAA one\n\nssh-ed25519 BBBB two\n",
    SSH_AUTHORIZED_KEY: "ssh-ed25519 CCCC three",
  });
  assert.equal(config.login.home, "/etc/mesh");
  assert.deepEqual(config.login.authorizedLines.map((line) => line.split(" ")[2]), ["one", "two", "three"]);
});

Deno.test("help names every flag and every exit code", () => {
  const parsed = parseFlags({ args: ["--help"], environment: () => undefined });
  assert.ok("help" in parsed);
  for (const word of ["--gateway", "--known-hosts", "--sshd-config", "Exit codes:", "host key", "127"]) {
    assert.ok(parsed.help.includes(word), word);
  }
});

const MISTAKES: [string[], RegExp][] = [
  [[], /nothing to do/],
  [["--gatway", "a:1"], /unknown option '--gatway'/],
  [["--gateway"], /argument is missing/],
  [["--gateway", "a:0"], /'a:0' is no gateway/],
  [["--gateway", "tls://a:1"], /not by tls:/],
  [["--gateway", "a:1", "--expose", "x"], /nothing to expose/],
  [["--gateway", "a:1", "--log", "yaml"], /json, text/],
  [["--gateway", "a:1", "--gateway-key", "MD5:aa"], /no fingerprint/],
  [["--gateway", "a:1", "--allow-dial", "10.0.0.1/8:1"], /bits set after the prefix/],
  [["--gateway", "a:1", "--name", "a b"], /cannot be a name: a name has letters, digits and/],
  [["--gateway", "a:1", "--stdio"], /without --gateway/],
  [["--gateway", "a:1", "--trust-user-ca", "/ca"], /needs --allow-principal/],
  [["--gateway", "a:1", "--allow-principal", "ann"], /needs --trust-user-ca/],
  [["--stdio", "--trust-user-ca", "gateway", "--allow-principal", "ann"], /needs --gateway/],
  [["--stdio", "-L", "1:a:1"], /need --gateway/],
  [["--stdio", "--", "ls"], /without a command/],
];

for (const [args, message] of MISTAKES) {
  Deno.test(`flags refused in a sentence: ${args.join(" ") || "none at all"}`, () => {
    assert.match(mistake(args), message);
  });
}

Deno.test("a mistake in a variable names the variable", () => {
  assert.match(mistake([], { SSHM_GATEWAY: "a:b:c" }), /^SSHM_GATEWAY: 'a:b:c' is no gateway/);
  assert.match(mistake(["--gateway", "a:1"], { SSHM_PRIVATE: "maybe" }), /^SSHM_PRIVATE: /);
  assert.match(mistake(["--gateway", "a:1"], { SSHM_LOG: "xml" }), /^SSHM_LOG: /);
});

Deno.test("two parses share nothing", () => {
  parse(["--gateway", "a:1"]);
  assert.equal(parse(["--gateway", "b:2"]).gateways.length, 1);
});

Deno.test("what is exposed, in every spelling", () => {
  const rows: [string, unknown][] = [
    ["22", { port: 22, target: "ssh" }],
    ["0", { port: 0, target: "ssh" }],
    ["2222:ssh", { port: 2222, target: "ssh" }],
    ["8080", { port: 8080, target: { host: "127.0.0.1", port: 8080 } }],
    ["80:web:8080", { port: 80, target: { host: "web", port: 8080 } }],
    ["80:[::1]:8080", { port: 80, target: { host: "::1", port: 8080 } }],
    ["22:127.0.0.1:22", { port: 22, target: { host: "127.0.0.1", port: 22 } }],
  ];
  for (const [text, expected] of rows) assert.deepEqual(parseExposure(text), expected, text);
  for (
    const bad of [
      "",
      "x",
      "65536",
      "80:web",
      "80:web:0",
      "80:web:65536",
      "80:::1:80",
      "80:a:1:2",
      "-1",
    ]
  ) {
    assert.throws(() => parseExposure(bad), TypeError, bad);
  }
});

Deno.test("a forward reads as with ssh -L", () => {
  const rows: [string, [string, number], [string, number]][] = [
    ["5432:db:5432", ["127.0.0.1", 5432], ["db", 5432]],
    ["localhost:1:db:2", ["127.0.0.1", 1], ["db", 2]],
    ["*:1:db:2", ["0.0.0.0", 1], ["db", 2]],
    [":1:db:2", ["0.0.0.0", 1], ["db", 2]],
    ["[::1]:1:[fd00::1]:2", ["::1", 1], ["fd00::1", 2]],
    ["0:db:2", ["127.0.0.1", 0], ["db", 2]],
  ];
  for (const [text, listen, target] of rows) {
    const parsed = parseLocalForward(text);
    assert.deepEqual([parsed.listen.host, parsed.listen.port], listen, text);
    assert.deepEqual([parsed.target.host, parsed.target.port], target, text);
  }
  for (const bad of ["5432", "db:5432", "1:db:0", "1:db:65536", "a:b:c:d:e", "1::2"]) {
    assert.throws(() => parseLocalForward(bad), TypeError, bad);
  }
  assert.deepEqual(parseConnect("db:5432").target, { host: "db", port: 5432 });
  for (const bad of ["", "db:", "db:0", "a b"]) assert.throws(() => parseConnect(bad), TypeError, bad);
});

Deno.test("principals are taken exactly, and belong to one account", () => {
  assert.deepEqual(parsePrincipalGrant("ann@corp.com"), { principal: "ann@corp.com" });
  assert.deepEqual(parsePrincipalGrant("app=ann@corp.com"), { user: "app", principal: "ann@corp.com" });
  assert.deepEqual(parsePrincipalGrant("Not A User".replaceAll(" ", ".") + "=x"), {
    principal: "Not.A.User=x",
  });
  for (const bad of ["", "app=", "a,b", "a b", "*", "app=*"]) {
    assert.throws(() => parsePrincipalGrant(bad), TypeError, bad);
  }
  const grants = [{ principal: "ann" }, { user: "app", principal: "bob" }];
  assert.deepEqual(principalsFor("root", "root", grants), ["ann"]);
  assert.deepEqual(principalsFor("app", "root", grants), ["bob"]);
  assert.deepEqual(principalsFor("app", "app", grants), ["ann", "bob"]);
});

Deno.test("a gateway's address in every spelling", () => {
  const rows: [string, unknown][] = [
    ["GW.example.com", { hostname: "gw.example.com", port: 15022 }],
    ["ssh://gw:22", { hostname: "gw", port: 22 }],
    ["ann@gw:22", { hostname: "gw", port: 22, user: "ann" }],
    ["[::1]:22", { hostname: "::1", port: 22 }],
  ];
  for (const [text, expected] of rows) assert.deepEqual(parseGatewayAddress(text), expected, text);
  assert.equal(formatGateway({ hostname: "::1", port: 2 }), "[::1]:2");
  for (const bad of ["", ":22", "gw:", "gw:x", "a b", "::1", "ssh://", "gw/path", "gw:65536"]) {
    assert.throws(() => parseGatewayAddress(bad), TypeError, bad);
  }
});

Deno.test("each source of tokens is read, by flag and by variable", () => {
  const gateway = ["--gateway", "gw"];
  assert.deepEqual(parse([...gateway, "--token-file", "/t"]).token, { kind: "file", path: "/t" });
  assert.deepEqual(parse(gateway, { SSHM_TOKEN_FILE: "/t" }).token, { kind: "file", path: "/t" });
  assert.deepEqual(parse([...gateway, "--token-command", "a | b"]).token, {
    kind: "command",
    command: "a | b",
  });
  assert.deepEqual(parse([...gateway, "--token-metadata"]).token, {
    kind: "metadata",
    host: "169.254.169.254",
  });
  assert.deepEqual(parse(gateway, { SSHM_TOKEN_METADATA: "1", GCE_METADATA_HOST: "meta:8080" }).token, {
    kind: "metadata",
    host: "meta:8080",
  });
  assert.equal(parse([...gateway, "--token-file", "/t", "--token-audience", "mesh"]).tokenAudience, "mesh");
  assert.equal(parse(gateway).token, undefined);
  assert.equal(parse([...gateway, "--join", "@/join"]).join, "@/join");
  assert.equal(parse(gateway, { SSHM_JOIN: "sshm1.x" }).join, "sshm1.x");
});

const TOKEN_MISTAKES: readonly [RegExp, string[], Record<string, string>?][] = [
  [/one of --token-file/, ["--gateway", "gw", "--token-file", "/t", "--token-metadata"]],
  [/--join is for machines that have no token/, [
    "--gateway",
    "gw",
    "--token-file",
    "/t",
    "--join",
    "geheim",
  ]],
  [/--token-audience needs a source/, ["--gateway", "gw", "--token-audience", "a"]],
  [/is no audience/, ["--gateway", "gw", "--token-file", "/t", "--token-audience", "a b"]],
  [/tokens need --gateway/, ["--stdio", "--token-file", "/t"]],
  [/tokens need --gateway/, ["--stdio"], { SSHM_JOIN: "geheim" }],
  [/GCE_METADATA_HOST is no HOST/, ["--gateway", "gw", "--token-metadata"], { GCE_METADATA_HOST: "a/b?c" }],
];

for (const [says, args, environment] of TOKEN_MISTAKES) {
  Deno.test(`a mistake: ${args.join(" ")} ${Object.keys(environment ?? {})}`, () => {
    const sentence = mistake(args, environment);
    assert.match(sentence, says);
    assert.doesNotMatch(sentence, /geheim/);
  });
}
