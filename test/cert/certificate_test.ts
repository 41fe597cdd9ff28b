import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY } from "../../src/bytes/bytes.ts";
import { Writer } from "../../src/bytes/writer.ts";
import {
  FOREVER,
  parseCertificate,
  signCertificate,
  verifyAuthority,
  withCertificate,
} from "../../src/cert/certificate.ts";
import { certificateType } from "../../src/keys/key_types.ts";
import { checkCertificate, DEFAULT_CA_SIGNATURE_ALGORITHMS } from "../../src/cert/check.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../../src/keys/private_key.ts";
import { decodePublicKey, formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { KeyError, type KeyType } from "../../src/keys/types.ts";
import { inFolder, keyFile, run, writeSecret } from "../keys/tools.ts";
import {
  authority,
  certificate,
  goodContext,
  holder,
  rawCertificate,
  strings,
  userFields,
} from "./material.ts";

const types: KeyType[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

function malformed(read: () => unknown, message?: RegExp): void {
  assert.throws(read, (error: unknown) => {
    assert.ok(error instanceof KeyError, String(error));
    assert.equal(error.code, "malformed", error.message);
    if (message) assert.match(error.message, message);
    return true;
  });
}

for (const type of types) {
  Deno.test(`ssh-keygen signs ${type} with ${type}, and we read and check it`, async () => {
    await inFolder(async (folder) => {
      const key = await generatePrivateKey(type, { bits: 2048 });
      const ca = await generatePrivateKey(type, { bits: 2048 });
      await writeSecret(`${folder}/ca`, formatPrivateKey(ca));
      await Deno.writeTextFile(`${folder}/ca.pub`, formatPublicKey(ca.publicKey));
      await Deno.writeTextFile(`${folder}/id.pub`, formatPublicKey(key.publicKey));
      const options = ["-O", "force-command=ls -l", "-O", "source-address=10.0.0.0/8", "-O", "no-pty"];
      await run("ssh-keygen", [
        ...["-q", "-s", `${folder}/ca`, "-I", "key id", "-n", "ann,group:ops", "-z", "18446744073709551615"],
        ...["-V", "20260101:20270101", ...options, `${folder}/id.pub`],
      ]);
      const line = parsePublicKeyLine(await Deno.readTextFile(`${folder}/id-cert.pub`));
      assert.deepEqual(line.key.blob, key.publicKey.blob);
      const read = parseCertificate(line.certificate!);
      assert.equal(read.type, certificateType(type));
      assert.equal(read.role, "user");
      assert.equal(read.keyId, "key id");
      assert.equal(read.serial, FOREVER);
      assert.deepEqual(read.principals, ["ann", "group:ops"]);
      assert.deepEqual([...read.criticalOptions.keys()], ["force-command", "source-address"]);
      assert.equal(new TextDecoder().decode(read.criticalOptions.get("force-command")), "ls -l");
      assert.ok(!read.extensions.has("permit-pty") && read.extensions.has("permit-X11-forwarding"));
      assert.deepEqual(read.signatureKey.blob, ca.publicKey.blob);
      assert.equal(await checkCertificate(read, { ...goodContext, now: Date.UTC(2026, 5, 1) }), undefined);
    });
  });

  Deno.test(`ssh-keygen prints what we signed for ${type} as we meant it`, async () => {
    await inFolder(async (folder) => {
      const key = await generatePrivateKey(type, { bits: 2048 });
      const ca = await generatePrivateKey(type, { bits: 2048 });
      const blob = await signCertificate({
        role: "user",
        publicKey: key.publicKey,
        serial: 42n,
        keyId: "ann",
        principals: ["ann", "group:ops"],
        validAfter: 1767225600n,
        validBefore: 1798761600n,
        // In no order: they are sorted.
        criticalOptions: new Map([["verify-required", ""], ["force-command", "ls"]]),
        extensions: new Map([["permit-pty", ""], ["login@example.com", "ann"], [
          "permit-X11-forwarding",
          "",
        ]]),
      }, ca);
      const path = `${folder}/id-cert.pub`;
      await Deno.writeTextFile(path, formatPublicKey(blob) + "\n");
      const command = new Deno.Command("ssh-keygen", { args: ["-L", "-f", path], env: { TZ: "UTC" } });
      const printed = new TextDecoder().decode((await command.output()).stdout)
        .split("\n").map((text) => text.trim()).slice(1);
      const name = { "ssh-ed25519": "ED25519", "ssh-rsa": "RSA" }[type as string] ?? "ECDSA";
      assert.deepEqual(printed, [
        `Type: ${certificateType(type)} user certificate`,
        `Public key: ${name}-CERT ${await key.publicKey.fingerprint()}`,
        `Signing CA: ${name} ${await ca.publicKey.fingerprint()} (using ${
          ca.publicKey.signatureAlgorithms[0]
        })`,
        'Key ID: "ann"',
        "Serial: 42",
        "Valid: from 2026-01-01T00:00:00 to 2027-01-01T00:00:00",
        "Principals:",
        "ann",
        "group:ops",
        "Critical Options:",
        "force-command ls",
        "verify-required",
        "Extensions:",
        "login@example.com UNKNOWN OPTION: 00000003616e6e (len 7)",
        "permit-X11-forwarding",
        "permit-pty",
        "",
      ]);
    });
  });
}

Deno.test("ssh-keygen's host certificates are read, and ours by it", async () => {
  await inFolder(async (folder) => {
    await writeSecret(`${folder}/ca`, formatPrivateKey(authority));
    await Deno.writeTextFile(`${folder}/host.pub`, formatPublicKey(holder.publicKey));
    await run("ssh-keygen", [
      "-q",
      "-s",
      `${folder}/ca`,
      "-h",
      "-I",
      "h",
      "-n",
      "web.example.com",
      `${folder}/host.pub`,
    ]);
    const line = parsePublicKeyLine(await Deno.readTextFile(`${folder}/host-cert.pub`));
    const read = parseCertificate(line.certificate!);
    assert.deepEqual([read.role, read.validAfter, read.validBefore], ["host", 0n, FOREVER]);
    const context = { ...goodContext, role: "host" as const, principals: ["web.example.com"] };
    assert.equal(await checkCertificate(read, context), undefined);

    const ours = await certificate({
      role: "host",
      principals: ["web.example.com"],
      validAfter: 0n,
      validBefore: FOREVER,
    });
    await Deno.writeTextFile(`${folder}/ours-cert.pub`, formatPublicKey(ours.blob));
    const printed = await run("ssh-keygen", ["-L", "-f", `${folder}/ours-cert.pub`]);
    assert.match(printed, /host certificate[\s\S]*Valid: forever[\s\S]*Critical Options: \(none\)/);
  });
});

Deno.test("a real sshd lets somebody in with a certificate that we signed", async () => {
  await inFolder(async (folder) => {
    const user = Deno.env.get("USER") ?? (await run("id", ["-un"])).trim();
    await writeSecret(`${folder}/host`, formatPrivateKey(await generatePrivateKey("ssh-ed25519")));
    await writeSecret(`${folder}/id`, formatPrivateKey(holder));
    await Deno.writeTextFile(`${folder}/ca.pub`, formatPublicKey(authority.publicKey) + "\n");
    await Deno.writeTextFile(`${folder}/principals`, "group:ops\n");
    const seconds = BigInt(Math.floor(Date.now() / 1000));
    const blob = await signCertificate({
      ...userFields,
      validAfter: seconds - 60n,
      validBefore: seconds + 600n,
      criticalOptions: new Map([["force-command", "echo certified"], ["source-address", "127.0.0.0/8"]]),
    }, authority);
    await Deno.writeTextFile(`${folder}/id-cert.pub`, formatPublicKey(blob) + "\n");
    await Deno.writeTextFile(
      `${folder}/sshd_config`,
      [
        `HostKey ${folder}/host`,
        `TrustedUserCAKeys ${folder}/ca.pub`,
        `AuthorizedPrincipalsFile ${folder}/principals`,
        "AuthorizedKeysFile none",
        "StrictModes no",
        "UsePAM no",
        "LogLevel QUIET",
        "",
      ].join("\n"),
    );
    const ssh = new Deno.Command("ssh", {
      args: [
        ...["-F", "none", "-i", `${folder}/id`, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"],
        ...["-o", "StrictHostKeyChecking=no", "-o", `UserKnownHostsFile=${folder}/known_hosts`],
        ...["-o", `ProxyCommand=/usr/sbin/sshd -i -f ${folder}/sshd_config`, `${user}@127.0.0.1`, "ignored"],
      ],
      stdin: "null",
    });
    // On stdin sshd sees no address: source-address must keep the peer out, so it is tried without next.
    assert.notEqual(new TextDecoder().decode((await ssh.output()).stdout).trim(), "certified");
    const open = await signCertificate({
      ...userFields,
      validAfter: seconds - 60n,
      validBefore: seconds + 600n,
      criticalOptions: new Map([["force-command", "echo certified"]]),
    }, authority);
    await Deno.writeTextFile(`${folder}/id-cert.pub`, formatPublicKey(open) + "\n");
    const { stdout, stderr } = await ssh.output();
    assert.equal(new TextDecoder().decode(stdout).trim(), "certified", new TextDecoder().decode(stderr));
  });
});

Deno.test("every truncation is refused, and every flipped bit refused or caught by the signature", async () => {
  const { blob } = await certificate({ criticalOptions: new Map([["force-command", "ls"]]) });
  const algorithms = DEFAULT_CA_SIGNATURE_ALGORITHMS;
  assert.equal(await verifyAuthority(parseCertificate(blob), algorithms), true);
  for (let length = 0; length < blob.length; length++) {
    assert.throws(() => parseCertificate(blob.slice(0, length)), KeyError);
  }
  for (let bit = 0; bit < blob.length * 8; bit++) {
    const changed = blob.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    let read;
    try {
      read = parseCertificate(changed);
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
      continue;
    }
    assert.equal(await verifyAuthority(read, algorithms), false, `bit ${bit}`);
  }
});

Deno.test("what is not exactly one certificate is malformed", async () => {
  const wrapped = (value: string) => strings(value);
  const table: [name: string, blob: Promise<Bytes>, message: RegExp][] = [
    ["trailing byte", rawCertificate({ trailing: new Uint8Array(1) }), /after the end/],
    ["role 0", rawCertificate({ role: 0 }), /neither/],
    ["role 3", rawCertificate({ role: 3 }), /neither/],
    [
      "options out of order",
      rawCertificate({ extensions: strings("permit-pty", "", "permit-X11-forwarding", "") }),
      /order/,
    ],
    [
      "option twice",
      rawCertificate({ criticalOptions: strings("force-command", "", "force-command", "") }),
      /order/,
    ],
    ["bare value", rawCertificate({ criticalOptions: strings("force-command", "ls") }), /bytes/],
    [
      "value with more behind it",
      rawCertificate({ criticalOptions: strings("force-command", concat(wrapped("ls"), new Uint8Array(1))) }),
      /after the end/,
    ],
    ["option without value", rawCertificate({ extensions: strings("permit-pty") }), /needs/],
    ["NUL in a principal", rawCertificate({ principals: strings("root\0x") }), /NUL/],
    ["principal not UTF-8", rawCertificate({ principals: strings(new Uint8Array([0xff])) }), /UTF-8/],
    ["257 principals", rawCertificate({ principals: strings(...Array(257).fill("a")) }), /too many/],
    ["half a principal", rawCertificate({ principals: new Uint8Array([0, 0, 0, 2, 65]) }), /needs|UTF-8/],
    ["key of another type", rawCertificate({ type: "ssh-ed25519-cert-v01@openssh.com" }), /Ed25519/],
    ["authority cut off", rawCertificate({ authorityBlob: authority.publicKey.blob.slice(0, 40) }), /needs/],
  ];
  for (const [name, blob, message] of table) {
    const bytes = await blob;
    malformed(() => parseCertificate(bytes), message);
    assert.ok(name);
  }
  assert.ok(parseCertificate(await rawCertificate()));
  for (const blob of [holder.publicKey.blob, strings("ssh-dss-cert-v01@openssh.com"), strings("x")]) {
    assert.throws(
      () => parseCertificate(blob),
      (error: unknown) => error instanceof KeyError && error.code === "unsupported",
    );
  }
});

Deno.test("a certificate as authority is refused by its name, however deep the nest", async () => {
  let inner = (await certificate()).blob;
  for (let depth = 0; depth < 12; depth++) {
    inner = await rawCertificate({ authorityBlob: inner });
    malformed(() => parseCertificate(inner), /certificate itself/);
  }
  // Nothing but the name is looked at: the rest may be any nonsense, of any size.
  const bomb = concat(strings("ssh-rsa-cert-v01@openssh.com"), new Uint8Array(100_000).fill(0xff));
  const blob = await rawCertificate({ authorityBlob: bomb });
  malformed(() => parseCertificate(blob), /certificate itself/);
});

Deno.test("the authority refuses to sign what no careful verifier would accept", async () => {
  const refused: [string, Parameters<typeof certificate>[0]][] = [
    ["no principals", { principals: [] }],
    ["empty principal", { principals: [""] }],
    ["comma", { principals: ["deploy,root"] }],
    ["space", { principals: ["a b"] }],
    ["no-break space", { principals: ["a\u00a0b"] }],
    ["newline", { principals: ["a\nroot"] }],
    ["NUL", { principals: ["a\0"] }],
    ["star", { principals: ["*"] }],
    ["question mark", { principals: ["roo?"] }],
    ["negation", { principals: ["!a"] }],
    ["one bad of several", { principals: ["ann", "*"] }],
    ["wildcard host", { role: "host", principals: ["*.example.com"] }],
    ["never valid", { validAfter: 5n, validBefore: 5n }],
    ["before 1970", { validAfter: -1n }],
    ["beyond 64 bits", { validBefore: FOREVER + 1n }],
    ["serial beyond 64 bits", { serial: FOREVER + 1n }],
    ["newline in the key id", { keyId: "a\nb" }],
    ["options of a host", { role: "host", criticalOptions: new Map([["force-command", "ls"]]) }],
    ["too many principals", { principals: Array.from({ length: 257 }, (_, i) => `p${i}`) }],
  ];
  for (const [name, fields] of refused) await assert.rejects(certificate(fields), RangeError, name);
});

Deno.test("flags have no value, values are strings in strings, empty ones too", async () => {
  const read = await certificate({ extensions: new Map<string, string | Bytes>([["a", EMPTY], ["b", "x"]]) });
  assert.deepEqual([...read.extensions], [["a", EMPTY], ["b", new TextEncoder().encode("x")]]);
  const emptyString = parseCertificate(await rawCertificate({ extensions: strings("a", strings("")) }));
  assert.equal(emptyString.extensions.get("a")?.length, 0);
});

Deno.test("an RSA authority signs with SHA-2, and the SHA-1 form never counts", async () => {
  const ca = await parsePrivateKey(await keyFile("rsa"));
  for (const algorithm of ["rsa-sha2-512", "rsa-sha2-256"]) {
    const read = parseCertificate(await signCertificate(userFields, ca, algorithm));
    assert.equal(read.signatureAlgorithm, algorithm);
    assert.equal(await checkCertificate(read, goodContext), undefined);
  }
  await assert.rejects(signCertificate(userFields, ca, "ssh-rsa"), TypeError);
  await inFolder(async (folder) => {
    await writeSecret(`${folder}/ca`, formatPrivateKey(ca));
    await Deno.writeTextFile(`${folder}/id.pub`, formatPublicKey(holder.publicKey));
    await run("ssh-keygen", [
      "-q",
      "-s",
      `${folder}/ca`,
      "-t",
      "ssh-rsa",
      "-I",
      "old",
      "-n",
      "ann",
      `${folder}/id.pub`,
    ]);
    const old = parseCertificate(
      parsePublicKeyLine(await Deno.readTextFile(`${folder}/id-cert.pub`)).certificate!,
    );
    assert.equal(old.signatureAlgorithm, "ssh-rsa");
    assert.equal(await checkCertificate(old, goodContext), "signature-algorithm");
    // Not even when somebody asks for it.
    const lenient = { ...goodContext, signatureAlgorithms: ["ssh-rsa"] };
    assert.equal(await checkCertificate(old, lenient), "bad-signature");
  });
});

Deno.test("keys of tokens are certified like others", async () => {
  const sk = new Writer().string("sk-ssh-ed25519@openssh.com").string(authority.publicKey.blob.subarray(-32))
    .string("ssh:").finish();
  const read = await certificate({ publicKey: decodePublicKey(sk) });
  assert.equal(read.type, "sk-ssh-ed25519-cert-v01@openssh.com");
  assert.deepEqual(read.publicKey.blob, sk);
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/sk-cert.pub`, formatPublicKey(read.blob));
    assert.match(await run("ssh-keygen", ["-L", "-f", `${folder}/sk-cert.pub`]), /ED25519-SK-CERT/);
  });
});

Deno.test("a signer shows a certificate only for its own key", async () => {
  const { blob } = await certificate();
  const signer = withCertificate(holder, blob);
  assert.equal(signer.certificate, blob);
  const data = new Uint8Array(3);
  const signature = await signer.sign("ecdsa-sha2-nistp256", data);
  assert.ok(await signer.publicKey.verify("ecdsa-sha2-nistp256", signature, data));
  assert.throws(() => withCertificate(authority, blob), (error: unknown) => {
    return error instanceof KeyError && error.code === "mismatch";
  });
});
