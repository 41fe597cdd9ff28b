/** Known answers and refused forgeries, asked of a library found on the system before it is given keys. */
import { type Bytes, encodeText, equal } from "../bytes/bytes.ts";
import { decodeHex } from "../bytes/encoding.ts";
import type { CryptoProvider } from "../platform/crypto.ts";

/** @throws {Error} that names the first primitive with a wrong answer */
export function selfTest(crypto: CryptoProvider): void {
  for (const [name, works] of checks) {
    if (!works(crypto)) throw new Error(`${crypto.name} fails its self-test of ${name}`);
  }
}

const checks: readonly (readonly [name: string, works: (crypto: CryptoProvider) => boolean])[] = [
  // FIPS 180-4 examples
  ["SHA-256", (crypto) =>
    matches(
      crypto.hash("sha256", encodeText("a"), encodeText("bc")),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )],
  ["HMAC-SHA-256", (crypto) => {
    // RFC 4231 §4.3; the data's first four bytes go in as sequence number.
    const data = encodeText("what do ya want for nothing?");
    const sequence = new DataView(data.buffer).getUint32(0);
    const hmac = crypto.hmac("sha256", encodeText("Jefe"));
    const tag = new Uint8Array(hmac.length);
    // Twice: the second time from a context that was used before.
    for (let i = 0; i < 2; i++) hmac.sign(sequence, data.subarray(4), data.length - 4, tag);
    hmac.free();
    return matches(tag, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  }],
  ["AES-GCM", (crypto) => {
    // McGrew and Viega, test case 4
    const gcm = crypto.aesGcm(decodeHex("feffe9928665731c6d6a8f9467308308"));
    const nonce = decodeHex("cafebabefacedbaddecaf888");
    const sealed = decodeHex(
      "feedfacedeadbeeffeedfacedeadbeefabaddad2 42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e" +
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47",
    );
    const works = opensAndSeals(
      sealed,
      (packet) => gcm.open(nonce, 20, packet),
      (packet) => gcm.seal(nonce, 20, packet),
    );
    gcm.free();
    return works;
  }],
  ["ChaCha20-Poly1305", (crypto) => {
    // Key 00…3f, sequence number 7, length 44, content 04…2f; composed of the RFC 8439 primitives of a third library.
    const chachaPoly = crypto.chachaPoly(Uint8Array.from({ length: 64 }, (_, i) => i));
    const sealed = decodeHex(
      "a39afc86 2c431344468a20556060b5ffc79ec13f20a7262166fa27985c7705c0a07221778072d7823d4bde92 80ff4801" +
        "620a8425625c7b02208d39c5d2e20590",
    );
    const works = chachaPoly.length(7, sealed) === 44 && opensAndSeals(
      sealed,
      (packet) => chachaPoly.open(7, packet),
      (packet) => {
        packet.set([0, 0, 0, 44]);
        chachaPoly.seal(7, packet);
      },
    );
    chachaPoly.free();
    return works;
  }],
  ["AES-CTR", (crypto) => {
    // NIST SP 800-38A F.5.1
    const data = decodeHex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    const ctr = crypto.aesCtr(
      decodeHex("2b7e151628aed2a6abf7158809cf4f3c"),
      decodeHex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
    );
    ctr.xor(data, 0, 5);
    ctr.xor(data, 5, data.length);
    ctr.free();
    return matches(data, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
  }],
];

function matches(bytes: Bytes, hex: string): boolean {
  return equal(bytes, decodeHex(hex));
}

/** Opens the packet, seals it again to the same bytes, and refuses it with one bit changed. */
function opensAndSeals(
  sealed: Bytes,
  open: (packet: Bytes) => boolean,
  seal: (packet: Bytes) => void,
): boolean {
  const packet = sealed.slice();
  if (!open(packet)) return false;
  packet.fill(0, packet.length - 16);
  seal(packet);
  if (!equal(packet, sealed)) return false;
  packet[packet.length - 1] ^= 1;
  return !open(packet);
}
