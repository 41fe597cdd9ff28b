import assert from "node:assert/strict";
import {
  type AlgorithmLists,
  defaultAlgorithms,
  defaultClientAlgorithms,
  parseAlgorithmList,
  preferHostKeys,
  supportedAlgorithms,
} from "../../../src/ssh/algorithms/lists.ts";
import {
  hostKeyAlgorithms,
  keyAlgorithms,
  signatureAlgorithms,
} from "../../../src/ssh/algorithms/key_algorithms.ts";

Deno.test("the defaults leave out NIST curves, ECDSA and encrypt-and-MAC, and nothing else", () => {
  for (const kind of Object.keys(supportedAlgorithms) as (keyof AlgorithmLists)[]) {
    const off = supportedAlgorithms[kind].filter((name) => !defaultAlgorithms[kind].includes(name));
    for (const name of off) assert.match(name, /nistp|^hmac-sha2-\d+$/, kind);
    for (const name of defaultAlgorithms[kind]) assert.doesNotMatch(name, /nistp|^hmac-sha2-\d+$/, kind);
    assert.ok(defaultAlgorithms[kind].length > 0);
  }
});

Deno.test("every host key algorithm of the contract is supported, plain and as certificate", () => {
  const names = ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"].concat(
    [256, 384, 521].map((bits) => `ecdsa-sha2-nistp${bits}`),
  );
  const all = [...names.map((name) => `${name}-cert-v01@openssh.com`), ...names];
  assert.deepEqual([...supportedAlgorithms.hostKey].sort(), all.sort());
});

Deno.test("a key algorithm says which blob it comes with and which signature it makes", () => {
  const rows: [string, string, string, boolean][] = [
    ["ssh-ed25519", "ssh-ed25519", "ssh-ed25519", false],
    ["rsa-sha2-512", "ssh-rsa", "rsa-sha2-512", false],
    ["rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", true],
    [
      "ecdsa-sha2-nistp521-cert-v01@openssh.com",
      "ecdsa-sha2-nistp521-cert-v01@openssh.com",
      "ecdsa-sha2-nistp521",
      true,
    ],
    [
      "sk-ssh-ed25519-cert-v01@openssh.com",
      "sk-ssh-ed25519-cert-v01@openssh.com",
      "sk-ssh-ed25519@openssh.com",
      true,
    ],
  ];
  for (const [name, blobType, signature, certificate] of rows) {
    const row = keyAlgorithms.get(name)!;
    assert.deepEqual([row.blobType, row.signature, row.certificate], [blobType, signature, certificate]);
  }
  for (const name of ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com"]) {
    assert.ok(!keyAlgorithms.has(name));
  }
});

Deno.test("FIDO keys are for users, not for hosts", () => {
  assert.ok(keyAlgorithms.has("sk-ecdsa-sha2-nistp256@openssh.com"));
  for (const name of hostKeyAlgorithms.keys()) assert.doesNotMatch(name, /^sk-/);
  assert.ok(signatureAlgorithms.includes("sk-ssh-ed25519@openssh.com"));
  for (const name of signatureAlgorithms) assert.doesNotMatch(name, /cert/);
});

const gcm = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"];

Deno.test("a configured list replaces, adds to, takes from, or goes before the default", () => {
  const defaults = ["aes128-ctr", "chacha20-poly1305@openssh.com"];
  const cases: [string, string[]][] = [
    ["aes256-ctr,aes128-ctr", ["aes256-ctr", "aes128-ctr"]],
    ["+aes256-ctr", ["aes128-ctr", "chacha20-poly1305@openssh.com", "aes256-ctr"]],
    ["-aes128-ctr", ["chacha20-poly1305@openssh.com"]],
    ["^aes256-ctr", ["aes256-ctr", "aes128-ctr", "chacha20-poly1305@openssh.com"]],
    ["^chacha20-poly1305@openssh.com", ["chacha20-poly1305@openssh.com", "aes128-ctr"]],
    ["+aes128-ctr", defaults],
    ["aes???-gcm*", gcm],
    ["+*gcm@openssh.com", [...defaults, ...gcm]],
    ["-*", []],
    [" aes128-ctr , aes128-ctr ", ["aes128-ctr"]],
  ];
  for (const [text, names] of cases) {
    assert.deepEqual(parseAlgorithmList("cipher", text, defaults), { names, unknown: [] }, text);
  }
});

Deno.test("names that are not supported are told apart", () => {
  assert.deepEqual(parseAlgorithmList("mac", "hmac-md5,hmac-sha2-256,umac-*"), {
    names: ["hmac-sha2-256"],
    unknown: ["hmac-md5", "umac-*"],
  });
  assert.deepEqual(parseAlgorithmList("kex", "").unknown, [""]);
  assert.deepEqual(parseAlgorithmList("kex", "+diffie-hellman-group14-sha256"), {
    names: [...defaultAlgorithms.kex],
    unknown: ["diffie-hellman-group14-sha256"],
  });
  assert.deepEqual(parseAlgorithmList("kex", "-diffie-hellman-*").unknown, []);
});

Deno.test("a client asks first for the keys that it knows", () => {
  const known = [{ type: "ssh-rsa" }, { type: "ecdsa-sha2-nistp384" }] as const;
  const { hostKey, kex } = preferHostKeys(defaultClientAlgorithms, known);
  assert.deepEqual(hostKey.slice(0, 6), [
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ecdsa-sha2-nistp384",
  ]);
  assert.deepEqual([...hostKey].sort(), [...defaultClientAlgorithms.hostKey].sort());
  assert.deepEqual(kex, defaultClientAlgorithms.kex);
  assert.deepEqual(preferHostKeys(defaultClientAlgorithms, []), defaultClientAlgorithms);
});

Deno.test("what verifies a login can be listed too", () => {
  assert.deepEqual(parseAlgorithmList("publicKey", "ssh-ed25519*").names, [
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-ed25519",
  ]);
  assert.deepEqual(parseAlgorithmList("caSignature", "ssh-rsa"), { names: [], unknown: ["ssh-rsa"] });
  assert.ok(!parseAlgorithmList("caSignature", "-*nistp*").names.some((name) => name.includes("nistp")));
});

Deno.test("characters that mean something elsewhere mean themselves", () => {
  for (
    const text of [
      "aes128.ctr",
      "(aes128-ctr)",
      "aes[0-9]*",
      "aes128-ctr|x",
      "^^aes128-ctr",
      "$",
      "AES128-CTR",
    ]
  ) {
    const { names, unknown } = parseAlgorithmList("cipher", text, []);
    assert.deepEqual(names, [], text);
    assert.equal(unknown.length, 1);
  }
});
