/** What every {@link CryptoProvider} must do. A suite runs it with {@link cryptoContract}. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat, encodeText, randomBytes } from "../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../src/bytes/encoding.ts";
import type { CryptoProvider, HashName } from "../../src/platform/crypto.ts";

// FIPS 180-4 examples: "abc"
const digests: [HashName, string][] = [
  ["sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "sha384",
    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
  ],
  [
    "sha512",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  ],
];

// RFC 4231 §4: key, data, tag
const hmacs: [HashName, Bytes, string, string][] = [
  [
    "sha256",
    new Uint8Array(20).fill(0x0b),
    "Hi There",
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    "sha256",
    encodeText("Jefe"),
    "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "sha256",
    new Uint8Array(131).fill(0xaa),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    "sha384",
    new Uint8Array(20).fill(0x0b),
    "Hi There",
    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
  ],
  [
    "sha512",
    new Uint8Array(20).fill(0x0b),
    "Hi There",
    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde" +
    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
  ],
];

const gcmPlain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const gcmAad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 1, 2, 4 and 16: key, nonce, aad, content, sealed
const gcms: [string, string, string, string, string][] = [
  ["00".repeat(16), "00".repeat(12), "", "", "58e2fccefa7e3061367f1d57a4e7455a"],
  [
    "00".repeat(16),
    "00".repeat(12),
    "",
    "00".repeat(16),
    "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
  ],
  [
    "feffe9928665731c6d6a8f9467308308",
    "cafebabefacedbaddecaf888",
    gcmAad,
    gcmPlain,
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05" +
    "1ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
  ],
  [
    "feffe9928665731c6d6a8f9467308308".repeat(2),
    "cafebabefacedbaddecaf888",
    gcmAad,
    gcmPlain,
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838" +
    "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
  ],
];

const ctrPlain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
  "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
// NIST SP 800-38A F.5.1, F.5.3, F.5.5: key, encrypted
const ctrs: [string, string][] = [
  [
    "2b7e151628aed2a6abf7158809cf4f3c",
    "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff" +
    "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
  ],
  [
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94" +
    "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
  ],
  [
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" +
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
  ],
];

/** Registers the tests for one provider. */
export function cryptoContract(crypto: CryptoProvider): void {
  const test = (name: string, run: () => void) => Deno.test(`${crypto.name}: ${name}`, run);

  test("digests match the published ones, however the data is cut", () => {
    for (const [name, hex] of digests) {
      assert.equal(encodeHex(crypto.hash(name, encodeText("abc"))), hex);
      assert.equal(encodeHex(crypto.hash(name, encodeText("a"), encodeText(""), encodeText("bc"))), hex);
    }
    const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert.equal(encodeHex(crypto.hash("sha256")), empty);
  });

  test("HMACs match the published ones, also the second time", () => {
    for (const [hash, key, text, hex] of hmacs) {
      const data = encodeText(text);
      const sequence = new DataView(data.buffer).getUint32(0);
      // Bytes beyond `end` and beyond the tag must not matter, nor be touched.
      const packet = concat(data.subarray(4), encodeText("beyond"));
      const hmac = crypto.hmac(hash, key);
      for (let round = 0; round < 2; round++) {
        const tag = new Uint8Array(hmac.length + 1);
        hmac.sign(sequence, packet, data.length - 4, tag);
        assert.equal(encodeHex(tag), hex + "00");
      }
      assert.equal(hmac.length, hex.length / 2);
      hmac.free();
    }
  });

  test("AES-GCM matches the published vectors in both directions", () => {
    for (const [key, nonce, aad, content, sealed] of gcms) {
      const gcm = crypto.aesGcm(decodeHex(key));
      const plain = decodeHex(aad + content + "00".repeat(16));
      const aadLength = aad.length / 2;
      const packet = plain.slice();
      for (let round = 0; round < 2; round++) {
        packet.set(plain);
        gcm.seal(decodeHex(nonce), aadLength, packet);
        assert.equal(encodeHex(packet), aad + sealed);
        assert.ok(gcm.open(decodeHex(nonce), aadLength, packet));
        assert.equal(encodeHex(packet.subarray(0, -16)), aad + content);
      }
      gcm.free();
    }
  });

  test("AES-CTR matches the published vectors and runs on over calls of any length", () => {
    for (const [key, encrypted] of ctrs) {
      const lengths = fc.array(fc.nat(20), { maxLength: 10 });
      fc.assert(
        fc.property(lengths, (steps) => {
          const ctr = crypto.aesCtr(decodeHex(key), decodeHex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
          const data = decodeHex(ctrPlain);
          let at = 0;
          for (const step of steps) {
            const end = Math.min(at + step, data.length);
            ctr.xor(data, at, end);
            at = end;
          }
          ctr.xor(data, at, data.length);
          ctr.free();
          assert.equal(encodeHex(data), encrypted);
        }),
        { numRuns: 20 },
      );
    }
  });

  test("AES-CTR carries into all 16 bytes of the counter", () => {
    const key = randomBytes(16);
    const wrapping = crypto.aesCtr(key, new Uint8Array(16).fill(0xff));
    const zero = crypto.aesCtr(key, new Uint8Array(16));
    const data = new Uint8Array(48);
    const expected = new Uint8Array(32);
    wrapping.xor(data, 0, 48);
    zero.xor(expected, 0, 32);
    assert.deepEqual(data.subarray(16), expected);
    wrapping.free();
    zero.free();
  });

  test("ChaCha20-Poly1305 uses the key stream that RFC 8439 publishes", () => {
    // RFC 8439 A.1: key stream of key 0, nonce 0; block 0 for the length, block 1 on for the content.
    const cipher = crypto.chachaPoly(new Uint8Array(64));
    const packet = new Uint8Array(4 + 64 + 16);
    cipher.seal(0, packet);
    assert.equal(encodeHex(packet.subarray(0, 4)), "76b8e0ad");
    assert.equal(
      encodeHex(packet.subarray(4, 68)),
      "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed" +
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    );
    cipher.free();
  });

  test("ChaCha20-Poly1305 puts the sequence number at the end of the nonce and the header's key second", () => {
    // RFC 8439 A.1 vector 5: key 0, nonce …02; block 0 for the length.
    const cipher = crypto.chachaPoly(concat(randomBytes(32), new Uint8Array(32)));
    assert.equal(cipher.length(2, new Uint8Array(4)), 0xc2c64d37);
    cipher.free();
  });

  test("ChaCha20-Poly1305 of a whole packet matches one composed of another library's primitives", () => {
    const cipher = crypto.chachaPoly(Uint8Array.from({ length: 64 }, (_, i) => i));
    const content = encodeHex(Uint8Array.from({ length: 44 }, (_, i) => i + 4));
    const packet = decodeHex("0000002c" + content + "00".repeat(16));
    cipher.seal(7, packet);
    assert.equal(
      encodeHex(packet),
      "a39afc862c431344468a20556060b5ffc79ec13f20a7262166fa27985c7705c0a07221778072d7823d4bde9280ff4801" +
        "620a8425625c7b02208d39c5d2e20590",
    );
    assert.equal(cipher.length(7, packet), 44);
    assert.ok(cipher.open(7, packet));
    assert.equal(encodeHex(packet.subarray(4, 48)), content);
    cipher.free();
  });

  test("ChaCha20-Poly1305 round-trips every sequence number and length", () => {
    const cipher = crypto.chachaPoly(randomBytes(64));
    const sequences = fc.nat({ max: 0xffffffff });
    fc.assert(fc.property(sequences, fc.uint8Array({ maxLength: 300 }), (sequence, content) => {
      const packet = concat(new Uint8Array([0, 0, 1, 2]), content, new Uint8Array(16));
      cipher.seal(sequence, packet);
      const sealed = packet.slice();
      assert.equal(cipher.length(sequence, packet), 0x102);
      assert.deepEqual(packet, sealed, "asking for the length changes nothing");
      assert.ok(cipher.open(sequence, packet));
      assert.deepEqual(packet.subarray(4, -16), concat(content));
      assert.equal(cipher.open((sequence + 1) >>> 0, sealed.slice()), false);
    }));
    cipher.free();
  });

  test("one changed bit anywhere is refused, and ChaCha20-Poly1305 then decrypts nothing", () => {
    const cipher = crypto.chachaPoly(randomBytes(64));
    const gcm = crypto.aesGcm(randomBytes(32));
    const nonce = randomBytes(12);
    const chachaSealed = randomBytes(4 + 24 + 16);
    const gcmSealed = randomBytes(4 + 24 + 16);
    cipher.seal(1, chachaSealed);
    gcm.seal(nonce, 4, gcmSealed);
    for (let bit = 0; bit < 8 * chachaSealed.length; bit++) {
      const forged = chachaSealed.slice();
      forged[bit >> 3] ^= 1 << (bit & 7);
      const before = forged.slice();
      assert.equal(cipher.open(1, forged), false);
      assert.deepEqual(forged, before);
      const forgedGcm = gcmSealed.slice();
      forgedGcm[bit >> 3] ^= 1 << (bit & 7);
      assert.equal(gcm.open(nonce, 4, forgedGcm), false);
    }
    // A refusal leaves no trace in the contexts.
    assert.ok(cipher.open(1, chachaSealed));
    assert.ok(gcm.open(nonce, 4, gcmSealed));
    cipher.free();
    gcm.free();
  });

  test("packets in the middle of a larger buffer leave their neighbours alone", () => {
    const buffer = new Uint8Array(200).fill(0x5a);
    const packet = buffer.subarray(50, 150);
    const cipher = crypto.chachaPoly(randomBytes(64));
    const gcm = crypto.aesGcm(randomBytes(16));
    const ctr = crypto.aesCtr(randomBytes(16), randomBytes(16));
    const nonce = randomBytes(12);
    cipher.seal(3, packet);
    gcm.seal(nonce, 4, packet);
    ctr.xor(packet, 10, 20);
    const sides = concat(buffer.subarray(0, 50), buffer.subarray(150));
    assert.deepEqual(sides, new Uint8Array(100).fill(0x5a));
    for (const object of [cipher, gcm, ctr]) object.free();
  });

  test("keys are copied", () => {
    const key = randomBytes(64);
    const cipher = crypto.chachaPoly(key);
    const gcmKey = key.slice(0, 32);
    const gcm = crypto.aesGcm(gcmKey);
    const other = crypto.chachaPoly(key);
    key.fill(0);
    gcmKey.fill(0);
    const packet = randomBytes(40);
    const same = packet.slice();
    cipher.seal(0, packet);
    other.seal(0, same);
    assert.deepEqual(packet, same);
    const zeroKey = crypto.aesGcm(gcmKey);
    gcm.seal(new Uint8Array(12), 4, packet);
    assert.equal(zeroKey.open(new Uint8Array(12), 4, packet), false);
    for (const object of [cipher, other, gcm, zeroKey]) object.free();
  });

  test("wrong lengths throw RangeError before anything is touched", () => {
    const cipher = crypto.chachaPoly(randomBytes(64));
    const gcm = crypto.aesGcm(randomBytes(16));
    const ctr = crypto.aesCtr(randomBytes(16), randomBytes(16));
    const hmac = crypto.hmac("sha256", randomBytes(32));
    const bytes = (length: number) => new Uint8Array(length);
    const wrong: (() => void)[] = [
      () => crypto.chachaPoly(bytes(32)),
      () => crypto.aesGcm(bytes(24)),
      () => crypto.aesCtr(bytes(15), bytes(16)),
      () => crypto.aesCtr(bytes(16), bytes(12)),
      () => crypto.hmac("sha256", bytes(0)),
      () => cipher.seal(0, bytes(19)),
      () => cipher.open(0, bytes(19)),
      () => cipher.length(0, bytes(3)),
      () => gcm.seal(bytes(11), 4, bytes(40)),
      () => gcm.seal(bytes(12), 4, bytes(19)),
      () => gcm.open(bytes(12), 25, bytes(40)),
      () => gcm.open(bytes(12), -1, bytes(40)),
      () => gcm.open(bytes(12), 1.5, bytes(40)),
      () => gcm.open(bytes(12), NaN, bytes(40)),
      () => ctr.xor(bytes(10), 0, 11),
      () => ctr.xor(bytes(10), 5, 4),
      () => ctr.xor(bytes(10), -1, 4),
      () => ctr.xor(bytes(10), 0.5, 4),
      () => hmac.sign(0, bytes(10), 11, bytes(32)),
      () => hmac.sign(0, bytes(10), -1, bytes(32)),
      () => hmac.sign(0, bytes(10), 10, bytes(31)),
    ];
    for (const call of wrong) assert.throws(call, RangeError, String(call));
    for (const object of [cipher, gcm, ctr, hmac]) object.free();
  });

  test("use after free and a second free throw", () => {
    const cipher = crypto.chachaPoly(randomBytes(64));
    const gcm = crypto.aesGcm(randomBytes(16));
    const ctr = crypto.aesCtr(randomBytes(16), randomBytes(16));
    const hmac = crypto.hmac("sha256", randomBytes(32));
    for (const object of [cipher, gcm, ctr, hmac]) {
      object.free();
      assert.throws(() => object.free(), TypeError);
    }
    const packet = new Uint8Array(40);
    const uses: (() => void)[] = [
      () => cipher.seal(0, packet),
      () => cipher.open(0, packet),
      () => cipher.length(0, packet),
      () => gcm.seal(new Uint8Array(12), 4, packet),
      () => gcm.open(new Uint8Array(12), 4, packet),
      () => ctr.xor(packet, 0, 40),
      () => hmac.sign(0, packet, 40, packet),
    ];
    for (const use of uses) assert.throws(use, TypeError, String(use));
    assert.deepEqual(packet, new Uint8Array(40));
  });
}
