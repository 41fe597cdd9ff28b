import assert from "node:assert/strict";
import { type ConfigSources, issuersOf, resolveConfig } from "../../src/gateway/config.ts";
import { StartError } from "../../src/gateway/exit_codes.ts";
import { configJsonSchema, settings } from "../../src/gateway/settings.ts";
import { defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { parseFlags } from "../../cmd/gateway_flags.ts";

function resolve(
  args: string[] = [],
  environment: Record<string, string> = {},
  text?: string,
) {
  const sources: ConfigSources = {
    flags: parseFlags(args, "test")!.settings,
    environment: (name) => environment[name],
    file: text === undefined ? undefined : { path: "gateway.yaml", text },
    defaultState: "/home/ann/.local/state/ssh-mesh",
  };
  return resolveConfig(sources);
}

function mistake(...args: Parameters<typeof resolve>): string {
  try {
    resolve(...args);
  } catch (error) {
    assert.ok(error instanceof StartError);
    assert.equal(error.reason, "usage");
    return error.message;
  }
  assert.fail("no mistake was found");
}

Deno.test("without anything the configuration is the documented one", () => {
  const config = resolve();
  const anywhere = { transport: "tcp", hostname: "0.0.0.0", port: 15022, protocols: ["ssh", "tls"] } as const;
  assert.deepEqual(config.listen, [anywhere]);
  assert.deepEqual(config.admin, { transport: "tcp", hostname: "127.0.0.1", port: 15020 });
  assert.equal(config.state, "/home/ann/.local/state/ssh-mesh");
  assert.equal(config.domain, "localhost");
  assert.equal(config.trustDomain, "localhost");
  assert.equal(config.authorizedKeys, undefined);
  assert.deepEqual(config.owners, { dial: [], listen: [] });
});

Deno.test("the trust domain is the domain until something else is said", () => {
  assert.equal(resolve(["--domain", "GW.Example.com."]).trustDomain, "gw.example.com");
  assert.equal(
    resolve(["--domain", "gw.example.com", "--trust-domain", "prod.example.com"]).trustDomain,
    "prod.example.com",
  );
});

Deno.test("a flag beats a variable, a variable the file, the file the default", () => {
  const file = "domain: file.example\nlog: json\ndrain_grace: 5s\n";
  const environment = { SSHM_DOMAIN: "variable.example", SSHM_DRAIN_GRACE: "6s" };
  const config = resolve(["--domain", "flag.example"], environment, file);
  assert.equal(config.domain, "flag.example");
  assert.equal(config.drainGrace, 6000);
  assert.equal(config.log, "json");
});

Deno.test("lists come from repeated flags, from white space in variables, and from lists in the file", () => {
  const ports = (config: ReturnType<typeof resolve>) => config.owners.listen.map(({ first }) => first);
  assert.deepEqual(ports(resolve(["--allow-listen", "80", "--allow-listen", "8000-8010"])), [80, 8000]);
  assert.deepEqual(ports(resolve([], { SSHM_ALLOW_LISTEN: " 80  8000-8010 " })), [80, 8000]);
  assert.deepEqual(ports(resolve([], {}, "allow_listen: ['80', 8000-8010]")), [80, 8000]);
  assert.deepEqual(ports(resolve([], {}, "allow_listen: 8000-8010")), [8000]);
});

Deno.test("a listener may be for some protocols alone", () => {
  const { listen } = resolve([
    "--listen",
    ":1=tls",
    "--listen",
    "[::1]:2=tls,ssh",
    "--listen",
    "127.0.0.1:3",
  ]);
  assert.deepEqual(listen.map(({ hostname, protocols }) => [hostname, protocols]), [
    ["0.0.0.0", ["tls"]],
    ["::1", ["ssh", "tls"]],
    ["127.0.0.1", ["ssh", "tls"]],
  ]);
});

Deno.test("issuers come from flags and from the file; their audience is the gateway's name unless they have one", () => {
  const config = resolve(
    ["--trust-issuer", "https://login.mycorp.com", "--domain", "gw.example", "--listen", ":15022"],
    {},
    `issuers:
  - { issuer: "https://kubernetes.example", kind: kubernetes, trust_domain: prod.example, audiences: [a] }
  - { issuer: "https://token.actions.githubusercontent.com", required_claims: { repository_owner: mycorp } }
`,
  );
  assert.deepEqual(
    issuersOf(config, [15022]).map(({ issuer, audiences, trustDomain }) => [issuer, audiences, trustDomain]),
    [
      ["https://kubernetes.example", ["a"], "prod.example"],
      [
        "https://token.actions.githubusercontent.com",
        ["ssh://gw.example", "ssh://gw.example:15022"],
        undefined,
      ],
      ["https://login.mycorp.com", ["ssh://gw.example", "ssh://gw.example:15022"], undefined],
    ],
  );
});

Deno.test("a trust domain has one master", () => {
  const issuers = "issuers: [{ issuer: 'https://k.example', kind: kubernetes, trust_domain: prod.example }]";
  const authority = "trust_user_ca: { file: ca.pub, trust_domain: prod.example }";
  assert.match(mistake([], {}, `${issuers}\n${authority}`), /the trust domain prod\.example belongs to one/);
});

Deno.test("a configuration file may be JSON", () => {
  const { userCas } = resolve(
    [],
    {},
    '{"trust_user_ca": ["ca.pub", {"file": "b.pub", "trust_domain": "B.example"}]}',
  );
  assert.deepEqual(userCas.map(({ file, trustDomain }) => [file, trustDomain]), [
    ["ca.pub", undefined],
    ["b.pub", "b.example"],
  ]);
});

Deno.test("the configuration is frozen all the way down", () => {
  const config = resolve(["--listen", "127.0.0.1:0"]);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.listen) && Object.isFrozen(config.listen[0]));
});

Deno.test("lists of algorithms are read as in sshd_config, and are the library's without any", () => {
  assert.deepEqual(resolve().ssh, {
    algorithms: defaultAlgorithms,
    publicKeyAlgorithms: undefined,
    rekey: undefined,
  });
  const { algorithms, publicKeyAlgorithms } = resolve([
    ...["--kex-algorithms", "-curve25519*", "--ciphers", "^aes128-ctr"],
    ...["--macs", "+hmac-sha2-256", "--pubkey-accepted-algorithms", "ssh-ed25519,sk-*"],
  ], { SSHM_HOST_KEY_ALGORITHMS: "ssh-ed25519,rsa-sha2-512" }).ssh;
  assert.deepEqual(algorithms.kex, ["mlkem768x25519-sha256"]);
  assert.equal(algorithms.cipher[0], "aes128-ctr");
  assert.equal(algorithms.cipher.length, defaultAlgorithms.cipher.length);
  assert.equal(algorithms.mac.at(-1), "hmac-sha2-256");
  assert.deepEqual(algorithms.hostKey, ["ssh-ed25519", "rsa-sha2-512"]);
  assert.ok(publicKeyAlgorithms!.every((name) => /^(ssh-ed25519|sk-)/.test(name)));
});

Deno.test("keys are renewed after so many bytes, and after a time where one is given", () => {
  const rekey = (limit: string) => resolve(["--rekey-limit", limit]).ssh.rekey;
  assert.deepEqual(rekey("1M"), { bytes: 1024 * 1024 });
  assert.deepEqual(rekey("1.5G 30m"), { bytes: 1.5 * 1024 ** 3, ms: 1_800_000 });
  assert.deepEqual(rekey("default 10m"), { ms: 600_000 });
});

const mistakes: [Parameters<typeof resolve>, RegExp][] = [
  [[["--listen", "nowhere"]], /^--listen: 'nowhere' is not HOST:PORT$/],
  [[["--login-grace", "999999999d"]], /^--login-grace: .*longer than 24 days/],
  [[["--listen", "127.0.0.1:1=ssh,quic"]], /^--listen: .*'quic' is not a protocol/],
  [
    [["--trust-issuer", "http://login.mycorp.com"]],
    /^--trust-issuer: .*http:\/\/login\.mycorp\.com must be https/,
  ],
  [[["--trust-issuer", "https://accounts.google.com"]], /^issuers: .*accounts\.google\.com.*required_claims/],
  [[["--trust-issuer", "https://token.actions.githubusercontent.com"]], /^issuers: .*repository_owner/],
  [
    [[], {}, "issuers: [{ issuer: 'https://a.example', audience: x }]"],
    /^gateway\.yaml: issuers: .*audience/,
  ],
  [[[], {}, "issuers: [{ issuer: 'ftp://a.example' }]"], /^gateway\.yaml: issuers: .*must be https/],
  [[["--ca", "http://ca.example"]], /^--ca: .* is not an https URL/],
  [
    [[], {}, "trust_x509: [{ file: a, trust_domain: p.example }, { file: b, trust_domain: p.example }]"],
    /^the trust domain p\.example belongs to one authority, not to b and a$/,
  ],
  [
    [[], {}, "trust_user_ca: [{ file: a, trust_domain: p.example }, { file: b, trust_domain: p.example }]"],
    /^the trust domain p\.example belongs to one authority, not to b and a$/,
  ],
  [[["--ca-join", "x"]], /^--ca-join means nothing without --ca/],
  [[["--ca", "https://ca.example", "--ca-key", "user=a"]], /^'ca_key' is for the authority at ca\.example/],
  [[["--ca-key", "ca.key"]], /^--ca-key: 'ca\.key': say what it signs: user=PATH/],
  [[["--tls-key", "x"]], /^--tls-certificate and --tls-key belong together/],
  [
    [[], {}, "profiles: [{ name: x, lifetime: { default: 2h, max: 1h } }]"],
    /profiles: .*longer than the maximum/,
  ],
  [[["--allow-dial", "10.0.0.1/8:22"]], /^--allow-dial: .*did you mean 10\.0\.0\.0\/8/],
  [[["--allow-dial", "10.0.0.0"]], /^--allow-dial: '10\.0\.0\.0' is not a destination/],
  [[["--log", "xml"]], /^--log: /],
  [[["--nonsense"]], /unknown option '--nonsense'/],
  [[["--domain"]], /argument missing/],
  [[["extra"]], /too many arguments/],
  [[["--drain-grace", "soon"]], /^--drain-grace: 'soon' is not a duration/],
  [[["--max-clients", "0"]], /^--max-clients: /],
  [[["--ciphers", "aes256-ctr,3des-cbc"]], /^--ciphers: '3des-cbc' is not supported$/],
  [[["--kex-algorithms", "-*"]], /^--kex-algorithms: '-\*' leaves nothing$/],
  [[["--macs", ""]], /^--macs: '' is not supported$/],
  [[["--rekey-limit", "few"]], /^--rekey-limit: 'few' is not a size$/],
  [[["--rekey-limit", "1"]], /^--rekey-limit: '1' is too small/],
  [[["--rekey-limit", "1M soon"]], /^--rekey-limit: 'soon' is not a duration/],
  [[["--rekey-limit", "1M 1h x"]], /^--rekey-limit: '1M 1h x' is more than BYTES and TIME$/],
  [[[], { SSHM_LISTEN: "x" }], /^SSHM_LISTEN: 'x' is not HOST:PORT$/],
  [[[], {}, "domian: a"], /^gateway\.yaml: 'domian' is not a key/],
  [[[], {}, "domain: [a"], /^gateway\.yaml:1:11: /],
  [[[], {}, "- domain"], /^gateway\.yaml: expected keys and values/],
  [[[], {}, "listen: x"], /^gateway\.yaml: listen: 'x' is not HOST:PORT$/],
  [[[], {}, "domain: 10.0.0.1"], /^gateway\.yaml: domain: /],
];

for (const [args, expected] of mistakes) {
  Deno.test(`a mistake is one sentence that says where: ${JSON.stringify(args)}`, () => {
    const message = mistake(...args);
    assert.match(message, expected);
    assert.ok(!message.includes("\n"));
  });
}

Deno.test("the published schema has every setting, with its help", () => {
  const { properties, additionalProperties } = configJsonSchema() as {
    properties: Record<string, { description: string }>;
    additionalProperties: boolean;
  };
  assert.equal(additionalProperties, false);
  for (const [key, { help }] of Object.entries(settings)) assert.equal(properties[key].description, help);
});

Deno.test("one identity has half of the clients that are configured", () => {
  assert.equal(resolve(["--max-clients", "101"]).limits.maxClientsPerIdentity, 51);
});
