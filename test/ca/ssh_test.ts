import assert from "node:assert/strict";
import { chooseProfile, profilesSchema } from "../../src/ca/profiles.ts";
import {
  hostFields,
  keyId,
  parseRequestedKey,
  requireCertifiable,
  type SshIssue,
  userFields,
} from "../../src/ca/ssh.ts";
import { commonAddresses } from "../../src/ca/source_addresses.ts";
import { CaError } from "../../src/ca/types.ts";
import { signCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import type { Identity } from "../../src/identity/principal.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { ann, DAY, HOUR, MINUTE, someKey, workload } from "./scene.ts";

const now = new FakeClock().now();
const fails = (code: CaError["code"], words: RegExp) => (error: unknown) =>
  error instanceof CaError && error.code === code && words.test(error.message);

function issue(identity: Identity, more: Partial<SshIssue> = {}, profiles: unknown[] = []): SshIssue {
  const profile = chooseProfile(profilesSchema.parse(profiles), identity);
  return { publicKey: someKey, identity, profile, now, serial: 7n, requestId: "r1", ...more };
}
const validity = ({ validAfter, validBefore }: { validAfter: bigint; validBefore: bigint }) => [
  Number(validAfter) * 1000 - now,
  Number(validBefore) * 1000 - now,
];
const web = ["web.mesh.example"];
const own = { domain: "mesh.example", gateway: false };

Deno.test("a user certificate names the bearer and his groups, for ten minutes, with the five extensions", () => {
  const fields = userFields(issue(ann({ groups: ["sre"] })));
  assert.equal(fields.role, "user");
  assert.deepEqual(fields.principals, ["ann@mycorp.example", "group:sre"]);
  assert.deepEqual(validity(fields), [-MINUTE, 10 * MINUTE]);
  assert.equal(fields.keyId, "ann@mycorp.example issuer=https://id.example request=r1");
  assert.deepEqual(fields.criticalOptions, new Map());
  assert.deepEqual([...fields.extensions!.keys()].sort(), [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
  ]);
});

Deno.test("issuance never outlives the sign-in", () => {
  const cases: [Identity, number | undefined, number][] = [
    [ann({ expiresAt: now + 5 * MINUTE }), undefined, 5 * MINUTE],
    [ann({ expiresAt: now + 5 * MINUTE }), 30 * MINUTE, 5 * MINUTE],
    [ann({ expiresAt: now + 5 * HOUR }), HOUR, HOUR],
    [ann({ expiresAt: now + 2 * MINUTE, kind: "x509" }), undefined, 2 * MINUTE],
    [workload({ expiresAt: now + HOUR }), undefined, HOUR],
    [workload(), undefined, DAY],
  ];
  for (const [identity, lifetime, expected] of cases) {
    assert.equal(validity(userFields(issue(identity, { lifetime })))[1], expected);
  }
  for (const left of [0, -1, 999]) {
    const late = issue(ann({ expiresAt: now + left }));
    assert.throws(() => userFields(late), fails("refused", /has expired/));
    assert.throws(() => hostFields(late, web, own), fails("refused", /has expired/));
  }
});

Deno.test("a host certificate has its own time, unless a certificate begets it", () => {
  const host = (identity: Identity) => validity(hostFields(issue(identity), web, own))[1];
  assert.equal(host(workload({ expiresAt: now + HOUR })), DAY);
  assert.equal(host(workload({ expiresAt: now + HOUR, kind: "x509" })), HOUR);
});

Deno.test("longer than the profile's maximum is an error, not cut short", () => {
  assert.throws(() => userFields(issue(ann(), { lifetime: HOUR + 1 })), fails("invalid", /3600 s at most/));
  assert.throws(
    () => hostFields(issue(workload(), { lifetime: 8 * DAY }), web, own),
    fails("invalid", /at most/),
  );
  for (const lifetime of [0, -1, 999, NaN]) {
    assert.throws(() => userFields(issue(ann(), { lifetime })), fails("invalid", /a second at least/));
  }
});

Deno.test("restrictions are carried over into what is issued", () => {
  const fields = userFields(issue(ann({
    restrictions: {
      sourceAddresses: ["10.0.0.0/8", "192.0.2.1"],
      forceCommand: "backup --all",
      portForwarding: false,
    },
  })));
  assert.deepEqual(
    fields.criticalOptions,
    new Map([["force-command", "backup --all"], ["source-address", "10.0.0.0/8,192.0.2.1/32"]]),
  );
  assert.ok(!fields.extensions!.has("permit-port-forwarding"));
  assert.ok(fields.extensions!.has("permit-pty"));
});

Deno.test("a source address that is present but empty, or none, gives no certificate", () => {
  for (const sourceAddresses of [[], ["nonsense"], ["10.0.0.1/8"], ["*"], [""]]) {
    assert.throws(
      () => userFields(issue(ann({ restrictions: { sourceAddresses } }))),
      fails("refused", /address/),
    );
  }
});

Deno.test("of two lists of addresses those count that both let in", () => {
  const cases: [string[] | undefined, string[], string[] | undefined][] = [
    [undefined, [], undefined],
    [undefined, ["10.0.0.0/8"], ["10.0.0.0/8"]],
    [["10.0.0.0/8"], [], ["10.0.0.0/8"]],
    [["10.0.0.0/8"], ["10.1.0.0/16", "192.0.2.0/24"], ["10.1.0.0/16"]],
    [["10.1.2.3"], ["10.0.0.0/8"], ["10.1.2.3/32"]],
    [["10.0.0.0/8", "fd00::/8"], ["fd00::1", "10.2.0.0/16"], ["10.2.0.0/16", "fd00::1/128"]],
  ];
  for (const [identity, profile, expected] of cases) {
    assert.deepEqual(commonAddresses(identity, profile), expected);
  }
  assert.throws(() => commonAddresses(["10.0.0.0/8"], ["fd00::/8"]), fails("refused", /no address/));
  assert.throws(() => commonAddresses(["10.0.0.0/9"], ["10.128.0.0/9"]), fails("refused", /no address/));
});

Deno.test("a profile adds restrictions and takes none away", () => {
  const profile = [{
    name: "p",
    extensions: ["permit-port-forwarding"],
    force_command: "x",
    principals: ["deploy"],
  }];
  const fields = userFields(issue(ann({ restrictions: { portForwarding: false } }), {}, profile));
  assert.deepEqual(fields.extensions, new Map());
  assert.deepEqual(fields.principals, ["ann@mycorp.example", "deploy"]);
  assert.equal(fields.criticalOptions!.get("force-command"), "x");
  const other = issue(ann({ restrictions: { forceCommand: "y" } }), {}, profile);
  assert.throws(() => userFields(other), fails("refused", /different commands/));
  assert.ok(userFields(issue(ann({ restrictions: { forceCommand: "x" } }), {}, profile)));
  for (const forceCommand of ["", " ", "a\0b"]) {
    assert.throws(
      () => userFields(issue(ann({ restrictions: { forceCommand } }))),
      fails("refused", /command/),
    );
  }
});

Deno.test("host certificates have no options, whatever the profile says", async () => {
  const profile = [{ name: "p", force_command: "x", source_address: "10.0.0.0/8", principals: ["deploy"] }];
  const fields = hostFields(issue(workload(), {}, profile), web, own);
  assert.deepEqual(fields.principals, web);
  assert.equal(fields.criticalOptions, undefined);
  assert.equal(fields.extensions, undefined);
  await signCertificate(fields, await generatePrivateKey("ssh-ed25519"));
});

Deno.test("a key id is one printable line, however the names were meant", () => {
  const id = keyId({ name: "ann\n\x1b[2J\u202egnp x", issuer: "https://id.example/ evil" }, "r1");
  assert.match(id, /^[!-~]+ issuer=[!-~]+ request=r1$/);
  const long = keyId({ name: "n".repeat(5000), issuer: "i".repeat(5000) }, "r1");
  assert.ok(long.length <= 512 && long.endsWith(" request=r1"));
});

Deno.test("keys that nobody should trust are not certified", async () => {
  requireCertifiable(someKey);
  for (const bits of [1024, 2047]) {
    const weak = { ...someKey, type: "ssh-rsa" as const, bits };
    assert.throws(() => requireCertifiable(weak), fails("invalid", /too weak/));
  }
  const line = formatPublicKey(someKey, "ann@laptop");
  assert.deepEqual(parseRequestedKey(`\n${line}\r\n`).blob, someKey.blob);
  const blob = await signCertificate(userFields(issue(ann())), await generatePrivateKey("ssh-ed25519"));
  const bad: [string, RegExp][] = [
    ["", /one line/],
    [`${line}\n${line}`, /one line/],
    ["ssh-dss AAAAB3NzaC1kc3M= ann", /DSA/],
    [formatPublicKey(blob), /this is a certificate/],
    ["ssh-ed25519 AAAA", /cannot be certified/],
    ["ssh-ed448 AAAA", /not supported/],
    ["-----BEGIN OPENSSH PRIVATE KEY-----", /cannot be certified/],
    [`restrict ${line}`, /cannot be certified/],
    [`cert-authority ${line}`, /cannot be certified/],
  ];
  for (const [text, words] of bad) {
    assert.throws(() => parseRequestedKey(text), fails("invalid", words), text);
  }
});
