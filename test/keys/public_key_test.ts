import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat } from "../../src/bytes/bytes.ts";
import { decodeBase64, decodeHex } from "../../src/bytes/encoding.ts";
import { Writer } from "../../src/bytes/writer.ts";
import {
  certificateAlgorithm,
  certificateType,
  isKeyType,
  keyTypes,
  plainType,
} from "../../src/keys/key_types.ts";
import { generatePrivateKey, parsePrivateKey } from "../../src/keys/private_key.ts";
import { decodePublicKey, formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { KeyError } from "../../src/keys/types.ts";
import { signatureSchemes } from "../../src/keys/signature.ts";
import { inFolder, keyFile, run } from "./tools.ts";

const files = ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"];

function refuses(read: () => unknown, code: KeyError["code"]): void {
  assert.throws(read, (error: unknown) => error instanceof KeyError && error.code === code);
}

Deno.test("a public key line comes back as it was, and ssh-keygen agrees on size and fingerprint", async () => {
  for (const file of files) {
    const line = (await keyFile(`${file}.pub`)).trimEnd();
    const { key, comment, certificate } = parsePublicKeyLine(line);
    assert.equal(formatPublicKey(key, comment), line);
    assert.equal(certificate, undefined);
    await inFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/key.pub`, `${line}\n`);
      const [bits, fingerprint] = (await run("ssh-keygen", ["-l", "-f", `${folder}/key.pub`])).split(" ");
      assert.equal(key.bits, Number(bits));
      assert.equal(await key.fingerprint(), fingerprint);
    });
  }
});

Deno.test("every key signs with each of its algorithms, and nothing else verifies", async () => {
  for (const file of files) {
    const key = await parsePrivateKey(await keyFile(file));
    const data = new Uint8Array([1, 2, 3]);
    for (const algorithm of key.publicKey.signatureAlgorithms) {
      const signature = await key.sign(algorithm, data);
      assert.deepEqual(await key.publicKey.verify(algorithm, signature, data), {
        algorithm,
        fido: undefined,
      });
      assert.equal(await key.publicKey.verify(algorithm, signature, new Uint8Array([1, 2, 4])), undefined);
      assert.equal(
        await key.publicKey.verify(algorithm, concat(signature, new Uint8Array(1)), data),
        undefined,
      );
      for (const other of ["ssh-rsa", "rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "constructor"]) {
        if (other !== algorithm) assert.equal(await key.publicKey.verify(other, signature, data), undefined);
      }
    }
    await assert.rejects(key.sign("ssh-rsa", data), TypeError);
  }
});

Deno.test("ssh-keygen verifies what we sign", async () => {
  await inFolder(async (folder) => {
    for (const file of files) {
      const key = await parsePrivateKey(await keyFile(file));
      // The signature file of `ssh-keygen -Y` (OpenSSH PROTOCOL.sshsig).
      const message = new TextEncoder().encode("hello");
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-512", message));
      const magic = new TextEncoder().encode("SSHSIG");
      const signed = concat(
        magic,
        new Writer().string("test").string("").string("sha512").string(hash).finish(),
      );
      const signature = await key.sign(key.publicKey.signatureAlgorithms[0], signed);
      const blob = concat(
        magic,
        new Writer().uint32(1).string(key.publicKey.blob).string("test").string("").string("sha512")
          .string(signature).finish(),
      );
      const armoured = `-----BEGIN SSH SIGNATURE-----\n${
        btoa(String.fromCharCode(...blob)).match(/.{1,70}/g)!.join("\n")
      }\n-----END SSH SIGNATURE-----\n`;
      await Deno.writeTextFile(`${folder}/sig`, armoured);
      await Deno.writeTextFile(`${folder}/allowed`, `me ${formatPublicKey(key.publicKey)}\n`);
      const child = new Deno.Command("ssh-keygen", {
        args: ["-Y", "verify", "-f", `${folder}/allowed`, "-I", "me", "-n", "test", "-s", `${folder}/sig`],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(message);
      await writer.close();
      const { code, stderr } = await child.output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    }
  });
});

Deno.test("an RSA signature without its leading zeros still verifies; a longer one does not", async () => {
  const key = await generatePrivateKey("ssh-rsa", { bits: 2048 });
  for (let counter = 0;; counter++) {
    assert.ok(counter < 5000, "no signature with a leading zero in 5000");
    const data = new Writer().uint32(counter).finish();
    const signature = await key.sign("rsa-sha2-256", data);
    const raw = signature.subarray(signature.length - 256);
    if (raw[0] !== 0) continue;
    const wrap = (value: Bytes) => new Writer().string("rsa-sha2-256").string(value).finish();
    assert.ok(await key.publicKey.verify("rsa-sha2-256", wrap(raw.subarray(1)), data));
    const longer = wrap(concat(new Uint8Array(1), raw));
    assert.equal(await key.publicKey.verify("rsa-sha2-256", longer, data), undefined);
    break;
  }
});

Deno.test("ECDSA signatures map to mpints and back for any r and s", () => {
  const { toRaw, fromRaw } = signatureSchemes["ecdsa-sha2-nistp256"];
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (raw) => {
      assert.deepEqual(toRaw(fromRaw(new Uint8Array(raw)), 32), new Uint8Array(raw));
    }),
    { numRuns: 200 },
  );
});

Deno.test("every truncation and every flipped bit of a blob or signature is refused, or is another key", async () => {
  for (const file of files) {
    const key = await parsePrivateKey(await keyFile(file));
    const { blob } = key.publicKey;
    for (let length = 0; length < blob.length; length++) {
      assert.throws(() => decodePublicKey(blob.slice(0, length)), KeyError);
    }
    assert.throws(() => decodePublicKey(concat(blob, new Uint8Array(1))), KeyError);
    for (let bit = 0; bit < blob.length * 8; bit++) {
      const changed = blob.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      try {
        assert.notDeepEqual(decodePublicKey(changed).blob, blob);
      } catch (error) {
        assert.ok(error instanceof KeyError, String(error));
      }
    }
  }
  const key = await parsePrivateKey(await keyFile("ed25519"));
  const signature = await key.sign("ssh-ed25519", blobOf("data"));
  for (let length = 0; length < signature.length; length++) {
    assert.equal(
      await key.publicKey.verify("ssh-ed25519", signature.slice(0, length), blobOf("data")),
      undefined,
    );
  }
  for (let bit = 0; bit < signature.length * 8; bit++) {
    const changed = signature.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(await key.publicKey.verify("ssh-ed25519", changed, blobOf("data")), undefined);
  }
});

function blobOf(text: string): Bytes {
  return new TextEncoder().encode(text);
}

Deno.test("keys out of bounds are refused before anybody computes with them", () => {
  const rsa = (e: string, n: Bytes) => new Writer().string("ssh-rsa").mpint(decodeHex(e)).mpint(n).finish();
  const modulus = (bits: number) => {
    const n = new Uint8Array(bits / 8).fill(0xff);
    return n;
  };
  assert.equal(decodePublicKey(rsa("010001", modulus(1024))).bits, 1024);
  assert.equal(decodePublicKey(rsa("010001", modulus(16384))).bits, 16384);
  const leadingByte = new Uint8Array(257).fill(0xff);
  leadingByte[0] = 1;
  assert.equal(decodePublicKey(rsa("03", leadingByte)).bits, 2049);
  const even = modulus(2048);
  even[255] = 0xfe;
  const table: [string, Bytes][] = [
    ["RSA with 1016 bits", rsa("010001", modulus(1016))],
    ["RSA with 16392 bits", rsa("010001", modulus(16392))],
    ["RSA exponent 1", rsa("01", modulus(2048))],
    ["RSA exponent 0", rsa("", modulus(2048))],
    ["RSA exponent even", rsa("04", modulus(2048))],
    ["RSA exponent of 72 bits", rsa("ffffffffffffffffff", modulus(2048))],
    ["RSA modulus even", rsa("03", even)],
    ["RSA modulus 0", rsa("03", new Uint8Array())],
    ["Ed25519 of 31 bytes", new Writer().string("ssh-ed25519").string(new Uint8Array(31)).finish()],
    ["P-256 of 64 bytes", ecdsa("nistp256", new Uint8Array(64).fill(4))],
    ["P-256 compressed", ecdsa("nistp256", new Uint8Array(33).fill(2))],
    ["P-256 named P-384", ecdsa("nistp384", new Uint8Array(65).fill(4))],
    ["P-256 at infinity", ecdsa("nistp256", new Uint8Array(1))],
  ];
  for (const [name, blob] of table) {
    assert.throws(() => decodePublicKey(blob), (error: unknown) => {
      return error instanceof KeyError && error.code === "malformed";
    }, name);
  }
});

function ecdsa(curve: string, point: Bytes): Bytes {
  return new Writer().string("ecdsa-sha2-nistp256").string(curve).string(point).finish();
}

Deno.test("a point that is not on its curve verifies nothing", async () => {
  const key = decodePublicKey(ecdsa("nistp256", new Uint8Array(65).fill(4)));
  const signature = new Writer().string("ecdsa-sha2-nistp256")
    .string(new Writer().mpint(new Uint8Array([1])).mpint(new Uint8Array([1])).finish()).finish();
  assert.equal(await key.verify("ecdsa-sha2-nistp256", signature, new Uint8Array(3)), undefined);
});

Deno.test("types that are not supported are named, printable and short", () => {
  for (
    const type of ["ssh-dss", "", "toString", "ssh-ed25519-cert-v01@openssh.com", "\x1b[31m".repeat(100)]
  ) {
    const blob = new Writer().string(type).string("x").finish();
    assert.throws(() => decodePublicKey(blob), (error: unknown) => {
      assert.ok(error instanceof KeyError);
      assert.equal(error.code, "unsupported");
      assert.match(error.message, /^[\x20-\x7e]{1,120}$/);
      return true;
    });
  }
});

Deno.test("lines that are no keys are refused", async () => {
  const line = await keyFile("ed25519.pub");
  refuses(() => parsePublicKeyLine(""), "malformed");
  refuses(() => parsePublicKeyLine("ssh-ed25519"), "malformed");
  refuses(() => parsePublicKeyLine("ssh-ed25519 ???"), "malformed");
  refuses(() => parsePublicKeyLine(line.replace("ssh-ed25519", "ssh-rsa")), "malformed");
  refuses(() => parsePublicKeyLine(line.replace("ssh-ed25519", "ssh-dss")), "unsupported");
});

Deno.test("a comment stays on its line", async () => {
  const { key } = parsePublicKeyLine(await keyFile("ed25519.pub"));
  assert.ok(!formatPublicKey(key, "a\nssh-ed25519 AAAA evil").includes("\n"));
  assert.ok(!formatPublicKey(key, " ").endsWith(" "));
});

Deno.test("a key keeps a copy of its blob", () => {
  const blob = new Writer().string("ssh-ed25519").string(new Uint8Array(32).fill(9)).finish();
  const key = decodePublicKey(blob);
  const before = key.blob.slice();
  blob.fill(0);
  assert.deepEqual(key.blob, before);
});

Deno.test("the names of types and algorithms map both ways", () => {
  for (const type of Object.keys(keyTypes)) {
    assert.ok(isKeyType(type));
    assert.equal(plainType(certificateType(type)), type);
    for (const algorithm of keyTypes[type].signatureAlgorithms) {
      assert.ok(Object.hasOwn(signatureSchemes, algorithm));
    }
  }
  assert.equal(certificateAlgorithm("rsa-sha2-512"), "rsa-sha2-512-cert-v01@openssh.com");
  assert.equal(
    certificateAlgorithm("sk-ssh-ed25519@openssh.com"),
    "sk-ssh-ed25519-cert-v01@openssh.com",
  );
  assert.equal(plainType("ssh-ed25519"), undefined);
  assert.equal(isKeyType("toString"), false);
});

Deno.test("a published key decodes to its known parts", async () => {
  // RFC 8709 has no vector; this is the key that ssh-keygen made, whose fingerprint it printed.
  const blob = decodeBase64((await keyFile("ed25519.pub")).split(" ")[1]);
  const key = decodePublicKey(blob);
  assert.equal(key.type, "ssh-ed25519");
  assert.equal(await key.fingerprint(), "SHA256:DinsqOFX5T8F2hAQy5afHh3PqhaQOW71/QIKQivF7oQ");
});
