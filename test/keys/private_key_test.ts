import assert from "node:assert/strict";
import { readContainer, writeContainer } from "../../src/keys/openssh_key.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { KeyError, type KeyType } from "../../src/keys/types.ts";
import { inFolder, keyFile, run, writeSecret } from "./tools.ts";

const files = ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa", "openssl-ed25519", "openssl-ecdsa256"];

/** Files that can be read; those with a passphrase have `secret`. */
const readable: [file: string, encrypted: boolean][] = [
  ["ed25519", false],
  ["ecdsa256", false],
  ["ecdsa384", false],
  ["ecdsa521", false],
  ["rsa", false],
  ["ed25519.aes256-ctr", true],
  ["ed25519.aes192-ctr", true],
  ["ed25519.aes128-ctr", true],
  ["ed25519.aes256-cbc", true],
  ["ed25519.aes128-cbc", true],
  ["ed25519.3des-cbc", true],
  ["ecdsa256.aes256-ctr", true],
  ["ecdsa384.aes256-ctr", true],
  ["ecdsa521.aes256-ctr", true],
  ["rsa.aes256-ctr", true],
  ["ecdsa256.pem", false],
  ["ecdsa384.pem", false],
  ["ecdsa521.pem", false],
  ["rsa.pem", false],
  ["openssl-ecdsa256.parameters.pem", false],
  ["ecdsa256.encrypted.pem", true],
  ["ecdsa521.encrypted.pem", true],
  ["ecdsa384.aes256.pem", true],
  ["rsa.encrypted.pem", true],
  ["rsa.aes256.pem", true],
  ["ecdsa256.pkcs8", false],
  ["ecdsa521.pkcs8", false],
  ["rsa.pkcs8", false],
  ["openssl-ed25519.pkcs8", false],
  ["ecdsa256.encrypted.pkcs8", true],
  ["ecdsa256.sha512.pkcs8", true],
  ["ecdsa384.encrypted.pkcs8", true],
  ["ecdsa521.encrypted.pkcs8", true],
  ["rsa.encrypted.pkcs8", true],
  ["openssl-ed25519.encrypted.pkcs8", true],
  ["ed25519.ppk2", false],
  ["ed25519.ppk3", false],
  ["ecdsa256.ppk2", false],
  ["ecdsa256.ppk3", false],
  ["rsa.ppk2", false],
  ["rsa.ppk3", false],
  ["ed25519.encrypted.ppk2", true],
  ["ecdsa256.encrypted.ppk2", true],
  ["rsa.encrypted.ppk2", true],
];

/** Files that are refused with a sentence that says how to rewrite them. */
const unsupported: [file: string, advice: RegExp][] = [
  ["ed25519.aes256-gcm", /ssh-keygen -p/],
  ["ed25519.chacha20-poly1305", /ssh-keygen -p/],
  ["rsa.des3.pem", /ssh-keygen -p/],
  ["ecdsa256.des3.pkcs8", /openssl pkcs8/],
  ["openssl-ed25519.scrypt.pkcs8", /openssl pkcs8/],
  ["ed25519.encrypted.ppk3", /puttygen/],
];

function isKeyError(code: KeyError["code"]) {
  return (error: unknown) => {
    assert.ok(error instanceof KeyError, String(error));
    assert.equal(error.code, code, error.message);
    assert.equal(error.cause, undefined);
    return true;
  };
}

for (const [file, encrypted] of readable) {
  Deno.test(`${file} is read`, async () => {
    const text = await keyFile(file);
    const key = await parsePrivateKey(text, encrypted ? "secret" : undefined);
    const base = files.find((name) => name === file.split(".")[0])!;
    const line = (await keyFile(`${base}.pub`)).trim();
    assert.equal(formatPublicKey(key.publicKey), line.split(" ").slice(0, 2).join(" "));
    // PEM and PKCS#8 have no comment; all others keep it.
    if (key.comment !== "") assert.equal(key.comment, parsePublicKeyLine(line).comment);
    else assert.match(file, /pem|pkcs8/);
    if (!encrypted) return;
    await assert.rejects(parsePrivateKey(text), isKeyError("passphrase-needed"));
    await assert.rejects(parsePrivateKey(text, "wrong"), isKeyError("passphrase-wrong"));
    await assert.rejects(parsePrivateKey(text, ""), isKeyError("passphrase-wrong"));
  });
}

for (const [file, advice] of unsupported) {
  Deno.test(`${file} is refused with advice`, async () => {
    await assert.rejects(parsePrivateKey(await keyFile(file), "secret"), (error) => {
      isKeyError("unsupported")(error);
      assert.match((error as Error).message, advice);
      return true;
    });
  });
}

const types: KeyType[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

for (const type of types) {
  Deno.test(`ssh-keygen and puttygen read the ${type} key that is made here`, async () => {
    const key = await generatePrivateKey(type, { comment: "ann@example.com", bits: 2048 });
    const line = formatPublicKey(key.publicKey, key.comment);
    const again = await parsePrivateKey(formatPrivateKey(key));
    assert.equal(formatPublicKey(again.publicKey, again.comment), line);
    await inFolder(async (folder) => {
      const path = `${folder}/id`;
      await writeSecret(path, formatPrivateKey(key));
      assert.equal((await run("ssh-keygen", ["-y", "-f", path])).trim(), line);
      // Has ssh-keygen check it whole, and write it again: that must be the same text but for the check numbers.
      await run("ssh-keygen", ["-q", "-p", "-P", "", "-N", "", "-f", path]);
      const rewritten = await Deno.readTextFile(path);
      assert.equal(rewritten.length, formatPrivateKey(key).length);
      assert.equal((await parsePrivateKey(rewritten)).comment, "ann@example.com");
      assert.equal((await run("puttygen", [path, "-O", "public-openssh"])).trim(), line);
    });
  });
}

Deno.test("keys of tokens are not made, RSA keys only in sensible sizes", async () => {
  await assert.rejects(generatePrivateKey("sk-ssh-ed25519@openssh.com"), isKeyError("unsupported"));
  for (const bits of [1024, 2047, 2050, 8192, NaN]) {
    await assert.rejects(generatePrivateKey("ssh-rsa", { bits }), RangeError);
  }
});

Deno.test("a secret shows nowhere", async () => {
  const text = await keyFile("ed25519");
  const key = await parsePrivateKey(text);
  const seed = readContainer(text).sealed.subarray(-80);
  const shown = Deno.inspect(key, { depth: 10, showHidden: true }) + JSON.stringify(key);
  assert.ok(!/"?\bd"?:/.test(shown), shown);
  assert.ok(seed.length > 0);
  // Errors about damaged files quote nothing of them.
  const body = text.split("\n")[3];
  for (
    const damaged of [text.replace(body, body.slice(4)), text.replace(body, "%%%" + body), text.slice(0, 200)]
  ) {
    await assert.rejects(parsePrivateKey(damaged), (error) => {
      assert.ok(error instanceof KeyError);
      assert.equal(error.cause, undefined);
      for (let at = 0; at + 8 < body.length; at++) assert.ok(!error.message.includes(body.slice(at, at + 8)));
      return true;
    });
  }
});

Deno.test("what is no private key is refused, a public key with a hint", async () => {
  for (const text of ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]) {
    await assert.rejects(parsePrivateKey(text), isKeyError("malformed"));
  }
  await assert.rejects(parsePrivateKey(await keyFile("ed25519.pub")), /public key/);
});

Deno.test("halves that do not belong together are refused", async () => {
  const one = await keyFile("ed25519");
  const two = formatPrivateKey(await generatePrivateKey("ssh-ed25519"));
  // The inner public half of another key: the container agrees with it, the seed does not.
  const opened = await openedOf(one);
  const other = await openedOf(two);
  const mixed = writeContainer({ ...opened, jwk: { ...opened.jwk, x: other.jwk.x } });
  await assert.rejects(parsePrivateKey(mixed), (error) => {
    assert.ok(error instanceof KeyError);
    assert.ok(["mismatch", "unsupported"].includes(error.code));
    return true;
  });
});

async function openedOf(text: string) {
  const { readPrivatePart } = await import("../../src/keys/openssh_key.ts");
  return readPrivatePart(readContainer(text).sealed);
}

Deno.test("every truncation and flipped bit of an OpenSSH file is refused or gives a key", async () => {
  const text = await keyFile("ed25519");
  const body = text.split("\n").slice(1, -2).join("");
  const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
  const armour = (content: Uint8Array) =>
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${
      btoa(String.fromCharCode(...content))
    }\n-----END OPENSSH PRIVATE KEY-----\n`;
  for (let length = 0; length < bytes.length; length++) {
    await assert.rejects(parsePrivateKey(armour(bytes.subarray(0, length))), KeyError);
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    try {
      await parsePrivateKey(armour(changed));
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
    }
  }
});

Deno.test("key derivation that would take for ever is refused at once", async () => {
  const text = await keyFile("ed25519.aes256-ctr");
  const bytes = Uint8Array.from(
    atob(text.split("\n").slice(1, -2).join("")),
    (character) => character.charCodeAt(0),
  );
  const { rounds, salt } = readContainer(text);
  assert.ok(rounds >= 16);
  const at = bytes.findIndex((_, index) => salt.every((byte, offset) => bytes[index + offset] === byte));
  new DataView(bytes.buffer).setUint32(at + salt.length, 100_000);
  const slow = `-----BEGIN OPENSSH PRIVATE KEY-----\n${btoa(String.fromCharCode(...bytes))}\n` +
    "-----END OPENSSH PRIVATE KEY-----\n";
  await assert.rejects(parsePrivateKey(slow, "secret"), isKeyError("unsupported"));
});

const armourOf = /-----BEGIN ([A-Z ]+)-----\n([\s\S]*?)\n-----END/;

Deno.test("every truncation and flipped bit of an encrypted PKCS#8 file is refused or gives the key", async () => {
  const [, label, body] = armourOf.exec(await keyFile("openssl-ed25519.encrypted.pkcs8"))!;
  const bytes = Uint8Array.from(atob(body.replaceAll("\n", "")), (character) => character.charCodeAt(0));
  const armour = (content: Uint8Array) =>
    `-----BEGIN ${label}-----\n${btoa(String.fromCharCode(...content))}\n-----END ${label}-----\n`;
  const refusedOrRead = async (content: Uint8Array) => {
    try {
      const key = await parsePrivateKey(armour(content), "secret");
      assert.equal(key.publicKey.type, "ssh-ed25519");
    } catch (error) {
      assert.ok(error instanceof KeyError, String(error));
      assert.equal(error.cause, undefined);
    }
  };
  for (let length = 0; length < bytes.length; length++) await refusedOrRead(bytes.subarray(0, length));
  // INTEGER 2048, the iterations: flipping those only takes time.
  const iterations = bytes.findIndex((_, at) =>
    [2, 2, 8, 0].every((byte, offset) => bytes[at + offset] === byte)
  );
  assert.ok(iterations > 0);
  for (let at = 0; at < bytes.length; at++) {
    if (at >= iterations && at < iterations + 4) continue;
    for (const bit of [0, 3, 7]) {
      const changed = bytes.slice();
      changed[at] ^= 1 << bit;
      await refusedOrRead(changed);
    }
  }
});

Deno.test("PBKDF2 for ever is refused at once", async () => {
  const [, label, body] = armourOf.exec(await keyFile("openssl-ed25519.encrypted.pkcs8"))!;
  const bytes = Uint8Array.from(atob(body.replaceAll("\n", "")), (character) => character.charCodeAt(0));
  const at = bytes.findIndex((_, index) =>
    [2, 2, 8, 0].every((byte, offset) => bytes[index + offset] === byte)
  );
  // Four bytes instead of two: the sequences around it grow by two.
  const grown = Uint8Array.from([
    ...bytes.subarray(0, at),
    2,
    4,
    0x7f,
    0xff,
    0xff,
    0xff,
    ...bytes.subarray(at + 4),
  ]);
  for (let outer = 0; outer < at; outer++) {
    const long = grown[outer] === 0x30 && grown[outer + 1] === 0x81;
    const length = outer + (long ? 2 : 1);
    const end = length + 1 + bytes[length];
    if (grown[outer] === 0x30 && end > at && end <= bytes.length) grown[length] += 2;
  }
  const text = `-----BEGIN ${label}-----\n${btoa(String.fromCharCode(...grown))}\n-----END ${label}-----\n`;
  await assert.rejects(parsePrivateKey(text, "secret"), (error) => {
    isKeyError("unsupported")(error);
    assert.match((error as Error).message, /iterations/);
    return true;
  });
});

Deno.test("damaged PEM and PuTTY files are refused, whatever is damaged", async () => {
  for (
    const file of [
      "rsa.pem",
      "ecdsa256.pem",
      "ecdsa256.pkcs8",
      "rsa.encrypted.pem",
      "rsa.ppk2",
      "ed25519.encrypted.ppk2",
    ]
  ) {
    const text = await keyFile(file);
    for (let at = 0; at < text.length; at += 7) {
      for (const damaged of [text.slice(0, at), text.slice(0, at) + "\u0001" + text.slice(at + 1)]) {
        try {
          await parsePrivateKey(damaged, "secret");
        } catch (error) {
          assert.ok(error instanceof KeyError, `${file} at ${at}: ${error}`);
          assert.equal(error.cause, undefined);
        }
      }
    }
  }
});
