import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat, encodeText } from "../../src/bytes/bytes.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { parseKrl, type RevokedCertificates, verifyKrl, writeKrl } from "../../src/cert/krl.ts";
import { parseRevokedKeys, RevocationList } from "../../src/cert/revocation.ts";
import { formatPrivateKey, generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { KeyError } from "../../src/keys/types.ts";
import { inFolder, keyFile, run, writeSecret } from "../keys/tools.ts";
import { authority, certificate, holder, strings } from "./material.ts";

const digest = async (name: string, blob: Bytes) => new Uint8Array(await crypto.subtle.digest(name, blob));
const one = (certificates: RevokedCertificates) => new RevocationList({ certificates: [certificates] });

Deno.test("serials, ranges, key ids, keys and hashes of ssh-keygen's list are found", async () => {
  await inFolder(async (folder) => {
    await writeSecret(`${folder}/ca`, formatPrivateKey(authority));
    await Deno.writeTextFile(`${folder}/ca.pub`, formatPublicKey(authority.publicKey));
    const revokedKey = parsePublicKeyLine(await keyFile("rsa.pub")).key;
    const sha1Key = parsePublicKeyLine(await keyFile("ecdsa384.pub")).key;
    const sha256Key = parsePublicKeyLine(await keyFile("ecdsa521.pub")).key;
    await Deno.writeTextFile(
      `${folder}/spec`,
      [
        "serial: 5",
        "serial: 100-200",
        // Dense enough that ssh-keygen writes a bitmap.
        ...Array.from({ length: 40 }, (_, index) => `serial: ${1000 + 3 * index}`),
        "serial: 18446744073709551614",
        "id: lost laptop",
        `key: ${formatPublicKey(revokedKey)}`,
        `sha1: ${formatPublicKey(sha1Key)}`,
        `sha256: ${formatPublicKey(sha256Key)}`,
        "",
      ].join("\n"),
    );
    await run("ssh-keygen", [
      "-q",
      "-k",
      "-f",
      `${folder}/krl`,
      "-s",
      `${folder}/ca.pub`,
      "-z",
      "9",
      `${folder}/spec`,
    ]);
    const bytes: Bytes = await Deno.readFile(`${folder}/krl`);
    const krl = parseKrl(bytes);
    assert.equal(krl.version, 9n);
    assert.ok(
      krl.certificates.some(({ serials }) => serials.some((serial) => "bitmap" in serial)),
      "no bitmap",
    );
    const list = parseRevokedKeys(bytes);
    const revoked = [5n, 100n, 150n, 200n, 1000n, 1003n, 1117n, 18446744073709551614n];
    const free = [0n, 4n, 6n, 99n, 201n, 999n, 1001n, 1118n, 1120n, 18446744073709551615n];
    for (const serial of revoked) {
      assert.equal(await list.isRevoked(await certificate({ serial })), true, `${serial}`);
    }
    for (const serial of free) {
      assert.equal(await list.isRevoked(await certificate({ serial })), false, `${serial}`);
    }
    // Serials belong to an authority, and so do key ids.
    const other = await generatePrivateKey("ssh-ed25519");
    assert.equal(await list.isRevoked(await certificate({ serial: 5n }, other)), false);
    assert.equal(await list.isRevoked(await certificate({ keyId: "lost laptop" })), true);
    assert.equal(await list.isRevoked(await certificate({ keyId: "lost laptop" }, other)), false);
    for (const key of [revokedKey, sha1Key, sha256Key]) {
      assert.equal(await list.isRevoked(key), true);
      assert.equal(await list.isRevoked(await certificate({ publicKey: key })), true);
    }
    assert.equal(await list.isRevoked(holder.publicKey), false);
  });
});

Deno.test("ssh-keygen finds in our list what we put there, and nothing else", async () => {
  await inFolder(async (folder) => {
    const sha1Key = parsePublicKeyLine(await keyFile("ecdsa384.pub")).key;
    const sha256Key = parsePublicKeyLine(await keyFile("ecdsa521.pub")).key;
    const revokedKey = parsePublicKeyLine(await keyFile("rsa.pub")).key;
    const krl = writeKrl({
      version: 3n,
      generated: 1_700_000_000n,
      comment: "test",
      certificates: [{
        authority: authority.publicKey,
        serials: [
          { first: 5n, last: 5n },
          { first: 100n, last: 200n },
          { offset: 1000n, bitmap: new Uint8Array([0x80, 0x01]) },
          { first: 7n, last: 7n },
        ],
        keyIds: ["lost laptop"],
      }],
      keys: [revokedKey.blob],
      sha1: [await digest("SHA-1", sha1Key.blob)],
      sha256: [await digest("SHA-256", sha256Key.blob)],
    });
    await Deno.writeFile(`${folder}/krl`, krl);
    const ask = async (blob: Bytes, revoked: boolean) => {
      await Deno.writeTextFile(`${folder}/asked.pub`, formatPublicKey(blob) + "\n");
      await run("ssh-keygen", ["-Q", "-f", `${folder}/krl`, `${folder}/asked.pub`], {
        code: revoked ? 1 : 0,
      });
      const subject = blob === revokedKey.blob || blob === holder.publicKey.blob || blob === sha1Key.blob ||
          blob === sha256Key.blob
        ? parsePublicKeyLine(formatPublicKey(blob)).key
        : parseCertificate(blob);
      assert.equal(await parseRevokedKeys(krl).isRevoked(subject), revoked);
    };
    for (const serial of [5n, 7n, 100n, 200n, 1000n, 1015n]) {
      await ask((await certificate({ serial })).blob, true);
    }
    for (const serial of [6n, 99n, 201n, 1001n, 1014n, 1016n]) {
      await ask((await certificate({ serial })).blob, false);
    }
    await ask((await certificate({ serial: 6n, keyId: "lost laptop" })).blob, true);
    for (const { blob } of [revokedKey, sha1Key, sha256Key]) await ask(blob, true);
    await ask(holder.publicKey.blob, false);
    assert.match(await run("ssh-keygen", ["-Q", "-l", "-f", `${folder}/krl`]), /serial: 100-200/);
  });
});

Deno.test("a revoked authority takes its certificates along; serial zero names none", async () => {
  const list = new RevocationList({ keys: [authority.publicKey.blob] });
  assert.equal(await list.isRevoked(await certificate()), true);
  assert.equal(await list.isRevoked(holder.publicKey), false);
  const all = one({ serials: [{ first: 0n, last: 0xffff_ffff_ffff_ffffn }], keyIds: [] });
  assert.equal(await all.isRevoked(await certificate({ serial: 1n })), true);
  assert.equal(await all.isRevoked(await certificate({ serial: 0n })), false);
});

Deno.test("what is written is read back", () => {
  const serial = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
  const certificates = fc.record({
    authority: fc.constantFrom(undefined, authority.publicKey),
    ranges: fc.array(fc.tuple(serial, serial), { maxLength: 5 }),
    keyIds: fc.array(fc.string({ unit: "grapheme" }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(certificates, { maxLength: 3 }), (sections) => {
      const given = sections.map(({ authority, ranges, keyIds }) => ({
        authority,
        serials: ranges.map(([a, b]) => a < b ? { first: a, last: b } : { first: b, last: a }),
        keyIds,
      }));
      const read = parseKrl(writeKrl({ certificates: given })).certificates;
      const plain = (list: readonly RevokedCertificates[]) =>
        list.map(({ authority, serials, keyIds }) => [
          authority?.blob.length,
          serials.map((range) => "first" in range ? `${range.first}-${range.last}` : "").sort(),
          keyIds,
        ]);
      assert.deepEqual(plain(read), plain(given));
    }),
    { numRuns: 50 },
  );
});

Deno.test("a list that is not understood to the last byte is refused", async () => {
  const header = writeKrl({});
  const section = (type: number, ...content: (string | Bytes)[]) => {
    const writer = new Writer().byte(type);
    for (const part of content) writer.string(part);
    return concat(header, writer.finish());
  };
  const inCertificates = (type: number, content: Bytes) =>
    section(1, concat(strings("", ""), new Writer().byte(type).string(content).finish()));
  const numbers = (...values: bigint[]) => {
    const writer = new Writer();
    for (const value of values) writer.uint64(value);
    return writer.finish();
  };
  const bad: [name: string, bytes: Bytes][] = [
    ["unknown section", section(9, "")],
    ["critical extension", section(255, concat(strings("x"), new Uint8Array([1]), strings("")))],
    ["hash too short", section(3, strings("short"))],
    ["SHA-256 of 20 bytes", section(5, strings(new Uint8Array(20)))],
    ["half a string", section(2, new Uint8Array([0, 0, 0, 9, 1]))],
    ["half a serial", inCertificates(0x20, new Uint8Array(7))],
    ["range backwards", inCertificates(0x21, numbers(2n, 1n))],
    ["range and more", inCertificates(0x21, numbers(1n, 2n, 3n))],
    [
      "bitmap beyond 64 bits",
      inCertificates(0x22, concat(numbers(0xffff_ffff_ffff_ffffn), strings(new Uint8Array(100).fill(1)))),
    ],
    ["unknown certificate section", inCertificates(0x30, new Uint8Array())],
    ["authority that is no key", section(1, strings("x", ""))],
    ["signature without its second half", section(4, authority.publicKey.blob)],
    [
      "format 2",
      (() => {
        const changed = header.slice();
        changed[11] = 2;
        return changed;
      })(),
    ],
  ];
  for (const [name, bytes] of bad) {
    assert.throws(() => parseRevokedKeys(bytes), KeyError, name);
  }
  assert.ok(parseKrl(section(255, concat(strings("x"), new Uint8Array([0]), strings("")))));

  const whole = writeKrl({
    certificates: [{ authority: authority.publicKey, serials: [{ first: 1n, last: 9n }], keyIds: ["a"] }],
    keys: [holder.publicKey.blob],
    sha256: [await digest("SHA-256", holder.publicKey.blob)],
  });
  const ends = new Set<number>();
  for (let length = 0; length < whole.length; length++) {
    try {
      parseKrl(whole.slice(0, length));
      ends.add(length);
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
    }
  }
  // Only at the end of a section is the beginning of a list a list: after the header, certificates and keys.
  assert.equal(ends.size, 3);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const changed = whole.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    try {
      parseKrl(changed);
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
    }
  }
});

Deno.test("signatures of a list are verified, and nothing may follow them", async () => {
  const body = concat(
    writeKrl({ keys: [holder.publicKey.blob] }),
    new Writer().byte(4).string(authority.publicKey.blob).finish(),
  );
  const signed = concat(body, new Writer().string(await authority.sign("ssh-ed25519", body)).finish());
  const keys = await verifyKrl(parseKrl(signed));
  assert.deepEqual(keys.map(({ blob }) => blob), [authority.publicKey.blob]);
  assert.deepEqual(await verifyKrl(parseKrl(writeKrl({}))), []);
  const forged = signed.slice();
  forged[forged.length - 1] ^= 1;
  await assert.rejects(
    verifyKrl(parseKrl(forged)),
    (error) => error instanceof KeyError && error.code === "mismatch",
  );
  assert.throws(() => parseKrl(concat(signed, new Writer().byte(2).string("").finish())), KeyError);
});

Deno.test("a plain list of keys revokes them, and a line that is none stops everything", async () => {
  const text = `# lost\n\n${formatPublicKey(holder.publicKey, "comment")}\r\n`;
  const list = parseRevokedKeys(encodeText(text));
  assert.equal(await list.isRevoked(holder.publicKey), true);
  assert.equal(await list.isRevoked(await certificate()), true);
  assert.equal(await list.isRevoked(authority.publicKey), false);
  assert.equal(await parseRevokedKeys(encodeText("")).isRevoked(holder.publicKey), false);
  assert.throws(() => parseRevokedKeys(encodeText(text + "ssh-ed25519 AAAA")), /line 4/);
});
