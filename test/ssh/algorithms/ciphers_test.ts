import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat, randomBytes } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { chooseCrypto } from "../../../src/deno/crypto.ts";
import { nodeCrypto } from "../../../src/deno/crypto_node.ts";
import {
  ciphers,
  createOpener,
  createSealer,
  keyMaterial,
  type ProtectionKeys,
} from "../../../src/ssh/algorithms/ciphers.ts";
import { clearOpener, clearSealer } from "../../../src/ssh/algorithms/clear.ts";
import { macs } from "../../../src/ssh/algorithms/macs.ts";
import type { Opener, Sealer } from "../../../src/ssh/algorithms/protection.ts";

const providers = [nodeCrypto, (await chooseCrypto()).provider];

/** Every cipher with every MAC that goes with it. */
const combinations = [...ciphers.values()].flatMap((cipher): [string, string | undefined][] =>
  cipher.aead ? [[cipher.name, undefined]] : [...macs.keys()].map((mac) => [cipher.name, mac])
);

function randomKeys(cipher: string, mac: string | undefined): ProtectionKeys {
  const lengths = keyMaterial(cipher, mac);
  return { iv: randomBytes(lengths.iv), key: randomBytes(lengths.key), mac: randomBytes(lengths.mac) };
}

/** A packet with room for the tag, padded as RFC 4253 §6 asks. */
function packetOf({ blockSize, lengthCounts, tagLength }: Sealer, payload: Bytes): Bytes {
  const counted = (lengthCounts ? 5 : 1) + payload.length;
  let padding = blockSize - counted % blockSize;
  if (padding < 4) padding += blockSize;
  const length = 1 + payload.length + padding;
  const packet = new Uint8Array(4 + length + tagLength);
  new DataView(packet.buffer).setUint32(0, length);
  packet[4] = padding;
  packet.set(payload, 5);
  return packet;
}

/** As the packet layer does: the head first, then all. */
function open(opener: Opener, sequence: number, packet: Bytes): number | false {
  const length = opener.length(sequence, packet.subarray(0, opener.headLength));
  return opener.open(sequence, packet) && length;
}

Deno.test("every cipher and MAC opens what it sealed, packet after packet, across the sequence number's end", () => {
  for (const crypto of providers) {
    for (const [cipher, mac] of combinations) {
      const keys = randomKeys(cipher, mac);
      const sealer = createSealer(crypto, cipher, mac, keys);
      const opener = createOpener(crypto, cipher, mac, keys);
      let sequence = 0xfffffff8;
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
          const plain = packetOf(sealer, new Uint8Array(content));
          const packet = plain.slice();
          sealer.seal(sequence, packet);
          const end = packet.length - sealer.tagLength;
          assert.notDeepEqual(packet.subarray(4, end), plain.subarray(4, end));
          assert.equal(open(opener, sequence, packet), end - 4);
          assert.deepEqual(packet.subarray(4, end), plain.subarray(4, end));
          sequence = (sequence + 1) >>> 0;
        }),
        { numRuns: 20 },
      );
      sealer.free();
      opener.free();
    }
  }
});

Deno.test("the length is in clear exactly with GCM and encrypt-then-MAC", () => {
  for (const [cipher, mac] of combinations) {
    const sealer = createSealer(nodeCrypto, cipher, mac, randomKeys(cipher, mac));
    const packet = packetOf(sealer, new Uint8Array(20));
    const head = packet.slice(0, 4);
    sealer.seal(0, packet);
    const clear = cipher.includes("gcm") || (mac?.includes("etm") ?? false);
    // A false positive has a chance of 2^-32.
    assert.equal(encodeHex(packet.subarray(0, 4)) === encodeHex(head), clear, `${cipher} ${mac}`);
    assert.equal(sealer.lengthCounts, mac !== undefined && !clear);
    sealer.free();
  }
});

Deno.test("one changed bit anywhere in a packet is refused", () => {
  for (const [cipher, mac] of combinations) {
    const keys = randomKeys(cipher, mac);
    const sealer = createSealer(nodeCrypto, cipher, mac, keys);
    const sealed = packetOf(sealer, randomBytes(10));
    sealer.seal(5, sealed);
    sealer.free();
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const opener = createOpener(nodeCrypto, cipher, mac, keys);
      const forged = sealed.slice();
      forged[bit >> 3] ^= 1 << (bit & 7);
      assert.equal(open(opener, 5, forged), false, `${cipher} ${mac} bit ${bit}`);
      opener.free();
    }
  }
});

Deno.test("a packet that is repeated, dropped or put out of order is refused", () => {
  for (const [cipher, mac] of combinations) {
    const keys = randomKeys(cipher, mac);
    const sealer = createSealer(nodeCrypto, cipher, mac, keys);
    const packets = [0, 1].map((sequence) => {
      const packet = packetOf(sealer, randomBytes(10));
      sealer.seal(sequence, packet);
      return packet;
    });
    sealer.free();
    for (const order of [[0, 0], [1]]) {
      const opener = createOpener(nodeCrypto, cipher, mac, keys);
      const results = order.map((which, at) => open(opener, at, packets[which].slice()));
      assert.equal(results.at(-1), false, `${cipher} ${mac} ${order}`);
      opener.free();
    }
  }
});

Deno.test("keys of another direction open nothing", () => {
  for (const [cipher, mac] of combinations) {
    const sealer = createSealer(nodeCrypto, cipher, mac, randomKeys(cipher, mac));
    const opener = createOpener(nodeCrypto, cipher, mac, randomKeys(cipher, mac));
    const packet = packetOf(sealer, randomBytes(10));
    sealer.seal(0, packet);
    assert.equal(open(opener, 0, packet), false);
    sealer.free();
    opener.free();
  }
});

Deno.test("GCM counts packets in the last eight bytes of its nonce, with carry, and leaves the first four", () => {
  const cipher = "aes128-gcm@openssh.com";
  const iv = decodeHex("aabbccdd ffffffffffffffff");
  const next = decodeHex("aabbccdd 0000000000000000");
  const keys = { key: randomBytes(16), mac: new Uint8Array(0) };
  const first = createSealer(nodeCrypto, cipher, undefined, { ...keys, iv });
  const second = createSealer(nodeCrypto, cipher, undefined, { ...keys, iv: next });
  const plain = packetOf(first, randomBytes(30));
  const [skipped, one, other] = [plain.slice(), plain.slice(), plain.slice()];
  first.seal(0, skipped);
  first.seal(1, one);
  second.seal(9, other);
  assert.deepEqual(one, other);
  assert.notDeepEqual(skipped, one);
  assert.equal(encodeHex(iv), "aabbccddffffffffffffffff", "the caller's IV stays as it was");
  first.free();
  second.free();
});

Deno.test("encrypt-and-MAC authenticates the plain packet, encrypt-then-MAC the encrypted one", () => {
  // From the definitions: RFC 4253 §6.4 and OpenSSH PROTOCOL §1.5.
  const keys = randomKeys("aes256-ctr", "hmac-sha2-256");
  const plain = new Uint8Array(36);
  plain.set([0, 0, 0, 32, 10]);
  const expect = (mac: string, encryptedFrom: number, macOfPlain: boolean) => {
    const sealer = createSealer(nodeCrypto, "aes256-ctr", mac, keys);
    const packet = concat(plain, new Uint8Array(32));
    sealer.seal(0x01020304, packet);
    sealer.free();
    const encrypted = plain.slice();
    const ctr = nodeCrypto.aesCtr(keys.key, keys.iv);
    ctr.xor(encrypted, encryptedFrom, encrypted.length);
    ctr.free();
    const tag = new Uint8Array(32);
    const hmac = nodeCrypto.hmac("sha256", keys.mac);
    hmac.sign(0x01020304, macOfPlain ? plain : encrypted, plain.length, tag);
    hmac.free();
    assert.equal(encodeHex(packet), encodeHex(concat(encrypted, tag)));
  };
  expect("hmac-sha2-256", 0, true);
  expect("hmac-sha2-256-etm@openssh.com", 4, false);
});

Deno.test("key lengths are those of the RFCs", () => {
  const lengths: [string, string | undefined, number, number, number][] = [
    ["chacha20-poly1305@openssh.com", undefined, 0, 64, 0],
    ["aes128-gcm@openssh.com", "hmac-sha2-256", 12, 16, 0],
    ["aes256-gcm@openssh.com", undefined, 12, 32, 0],
    ["aes128-ctr", "hmac-sha2-256", 16, 16, 32],
    ["aes192-ctr", "hmac-sha2-512", 16, 24, 64],
    ["aes256-ctr", "hmac-sha2-512-etm@openssh.com", 16, 32, 64],
  ];
  for (const [cipher, mac, iv, key, macKey] of lengths) {
    assert.deepEqual(keyMaterial(cipher, mac), { iv, key, mac: macKey });
  }
});

Deno.test("names outside the tables throw", () => {
  assert.throws(() => keyMaterial("3des-cbc", "hmac-sha2-256"), TypeError);
  assert.throws(() => keyMaterial("aes128-ctr", "hmac-md5"), TypeError);
  assert.throws(() => keyMaterial("aes128-ctr", undefined), TypeError);
});

Deno.test("before the first keys packets pass as they are", () => {
  const packet = packetOf(clearSealer, randomBytes(10));
  const before = packet.slice();
  clearSealer.seal(0, packet);
  assert.equal(open(clearOpener, 0, packet), packet.length - 4);
  assert.deepEqual(packet, before);
  assert.equal(packet.length % 8, 0);
  assert.equal(clearOpener.length(0, decodeHex("ffffffff")), 0xffffffff);
});
