import assert from "node:assert/strict";
import { type Bytes, concat, encodeText } from "../../src/bytes/bytes.ts";
import { decodeBase64Url, encodeBase64Url } from "../../src/bytes/encoding.ts";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/keys/private_key.ts";
import { decodePublicKey } from "../../src/keys/public_key.ts";
import { satisfiesFido, UNRESTRICTED } from "../../src/keys/restrictions.ts";

// There is no token here: a key in memory signs what a token would sign (OpenSSH PROTOCOL.u2f).

const application = "ssh:";
const data = encodeText("what the protocol signs");

async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** The plain key as the key of a token. */
function tokenKey(key: PrivateKey) {
  const { blob, type } = key.publicKey;
  const reader = new Reader(blob);
  reader.string();
  const skType = `sk-${type}@openssh.com`;
  return decodePublicKey(new Writer().string(skType).bytes(reader.rest()).string(application).finish());
}

/** The signature field of a plain signature over `envelope`. */
async function rawSignature(key: PrivateKey, envelope: Bytes): Promise<Bytes> {
  const reader = new Reader(await key.sign(key.publicKey.type, envelope));
  reader.string();
  return reader.string();
}

async function u2fSignature(key: PrivateKey, flags: number, counter: number): Promise<Bytes> {
  const envelope = new Writer().bytes(await sha256(encodeText(application))).byte(flags).uint32(counter)
    .bytes(await sha256(data)).finish();
  return new Writer().string(`sk-${key.publicKey.type}@openssh.com`).string(await rawSignature(key, envelope))
    .byte(flags).uint32(counter).finish();
}

for (const type of ["ssh-ed25519", "ecdsa-sha2-nistp256"] as const) {
  Deno.test(`a token's ${type} signature verifies and tells its flags and counter`, async () => {
    const key = await generatePrivateKey(type);
    const token = tokenKey(key);
    const algorithm = token.type;
    const flags: [number, boolean, boolean][] = [[0, false, false], [1, true, false], [4, false, true], [
      5,
      true,
      true,
    ]];
    for (const [byte, userPresent, userVerified] of flags) {
      const signature = await u2fSignature(key, byte, 4_000_000_000);
      assert.deepEqual(await token.verify(algorithm, signature, data), {
        algorithm,
        fido: { userPresent, userVerified, counter: 4_000_000_000 },
      });
      assert.equal(await token.verify(algorithm, signature, encodeText("other")), undefined);
    }
    const signature = await u2fSignature(key, 0, 7);
    // Every bit counts: above all nobody may claim a touch that did not happen.
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const changed = signature.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      assert.equal(await token.verify(algorithm, changed, data), undefined, `bit ${bit}`);
    }
    for (let length = 0; length < signature.length; length++) {
      assert.equal(await token.verify(algorithm, signature.slice(0, length), data), undefined);
    }
    // A plain signature of the same key is none of the token.
    assert.equal(await token.verify(type, await key.sign(type, data), data), undefined);
  });
}

Deno.test("a token's signature counts for its application alone", async () => {
  const key = await generatePrivateKey("ssh-ed25519");
  const signature = await u2fSignature(key, 1, 1);
  const reader = new Reader(key.publicKey.blob);
  reader.string();
  const other = decodePublicKey(
    new Writer().string("sk-ssh-ed25519@openssh.com").bytes(reader.rest()).string("ssh:other").finish(),
  );
  assert.equal(await other.verify(other.type, signature, data), undefined);
});

const webauthn = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com";

interface Parts {
  flags?: number;
  origin?: string;
  extensions?: Bytes;
  clientData?: string;
}

async function webauthnSignature(key: PrivateKey, parts: Parts = {}): Promise<Bytes> {
  const { flags = 5, origin = "https://example.com", extensions = new Uint8Array() } = parts;
  const challenge = encodeBase64Url(data);
  const {
    clientData =
      `{"type":"webauthn.get","challenge":"${challenge}","origin":"${origin}","crossOrigin":false}`,
  } = parts;
  const envelope = concat(
    await sha256(encodeText(application)),
    new Writer().byte(flags).uint32(9).finish(),
    extensions,
    await sha256(encodeText(clientData)),
  );
  return new Writer().string(webauthn).string(await rawSignature(key, envelope)).byte(flags).uint32(9)
    .string(origin).string(clientData).string(extensions).finish();
}

Deno.test("a browser's signature verifies when its clientData is about this challenge", async () => {
  const key = await generatePrivateKey("ecdsa-sha2-nistp256");
  const token = tokenKey(key);
  const good = await token.verify(webauthn, await webauthnSignature(key), data);
  assert.deepEqual(good?.fido, { userPresent: true, userVerified: true, counter: 9 });
  const extended = await webauthnSignature(key, { flags: 0x85, extensions: new Uint8Array([0xa0]) });
  assert.ok(await token.verify(webauthn, extended, data));

  const challenge = encodeBase64Url(data);
  const bad: Parts[] = [
    { clientData: `{"type":"webauthn.create","challenge":"${challenge}","origin":"https://example.com"}` },
    { clientData: `{"type":"webauthn.get","challenge":"${challenge}x","origin":"https://example.com"}` },
    { clientData: `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://evil.com"}` },
    { clientData: `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://example.com"` },
    { origin: 'https://a","x":"' },
    { flags: 0x45 },
    { flags: 0x85 },
    { extensions: new Uint8Array([0xa0]) },
  ];
  for (const parts of bad) {
    assert.equal(await token.verify(webauthn, await webauthnSignature(key, parts), data), undefined);
  }
  assert.deepEqual(decodeBase64Url(challenge), data);
});

Deno.test("touch is expected unless excused, verification only when asked for", () => {
  const signed = (userPresent: boolean, userVerified: boolean) => ({
    algorithm: "sk-ssh-ed25519@openssh.com",
    fido: { userPresent, userVerified, counter: 1 },
  });
  assert.equal(satisfiesFido(UNRESTRICTED, signed(true, false)), true);
  assert.equal(satisfiesFido(UNRESTRICTED, signed(false, true)), false);
  assert.equal(satisfiesFido({ ...UNRESTRICTED, noTouchRequired: true }, signed(false, false)), true);
  assert.equal(satisfiesFido({ ...UNRESTRICTED, verifyRequired: true }, signed(true, false)), false);
  assert.equal(satisfiesFido({ ...UNRESTRICTED, verifyRequired: true }, signed(true, true)), true);
  // A key that is no token cannot verify its user (sshd ignores the option for it).
  assert.equal(satisfiesFido({ ...UNRESTRICTED, verifyRequired: true }, { algorithm: "ssh-ed25519" }), true);
});
