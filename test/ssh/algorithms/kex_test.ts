import assert from "node:assert/strict";
import { type Bytes, concat } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { nodeCrypto } from "../../../src/deno/crypto_node.ts";
import { type KexMethod, kexMethods } from "../../../src/ssh/algorithms/kex.ts";
import { DisconnectReason, SshError } from "../../../src/ssh/error.ts";

/** Bytes of INIT and REPLY. */
const lengths: Record<string, [init: number, reply: number]> = {
  "mlkem768x25519-sha256": [1184 + 32, 1088 + 32],
  "curve25519-sha256": [32, 32],
  "curve25519-sha256@libssh.org": [32, 32],
  "ecdh-sha2-nistp256": [65, 65],
  "ecdh-sha2-nistp384": [97, 97],
  "ecdh-sha2-nistp521": [133, 133],
};

const isRefusal = (error: unknown) =>
  error instanceof SshError && error.code === "protocol" &&
  error.reason === DisconnectReason.keyExchangeFailed;

async function exchange(method: KexMethod, tamperReply = (reply: Bytes) => reply) {
  const client = await method.start(nodeCrypto);
  const { reply, secret } = await method.respond(nodeCrypto, client.init);
  return { client, reply, server: secret, secret: await client.finish(tamperReply(reply)) };
}

function flip(bytes: Bytes, at: number): Bytes {
  const flipped = bytes.slice();
  flipped[at] ^= 1;
  return flipped;
}

Deno.test("this runtime has every method, the post-quantum one first", () => {
  assert.deepEqual([...kexMethods.keys()], Object.keys(lengths));
});

Deno.test("both sides of every method agree, on another secret each time", async () => {
  for (const method of kexMethods.values()) {
    const first = await exchange(method);
    const second = await exchange(method);
    assert.deepEqual(first.secret, first.server, method.name);
    assert.notDeepEqual(first.secret, second.secret);
    assert.deepEqual([first.client.init.length, first.reply.length], lengths[method.name]);
  }
});

Deno.test("the secret is an mpint of Diffie-Hellman, and a 32-byte string of the hybrid", async () => {
  for (const method of kexMethods.values()) {
    // Often enough for the high bit, which an mpint has to pad, to be set once (but for 2^-16).
    for (let round = 0; round < 16; round++) {
      const { secret } = await exchange(method);
      const reader = new Reader(secret);
      if (method.name.startsWith("mlkem")) assert.equal(reader.string().length, 32);
      else assert.ok(reader.mpint().length <= 66);
      reader.end();
      if (method.name.includes("521")) break;
    }
  }
});

Deno.test("values of another length are refused on both sides", async () => {
  for (const method of kexMethods.values()) {
    const [init, reply] = lengths[method.name];
    for (const length of [0, 1, init - 1, init + 1]) {
      await assert.rejects(method.respond(nodeCrypto, new Uint8Array(length)), isRefusal);
    }
    for (const length of [0, 1, reply - 1, reply + 1]) {
      const client = await method.start(nodeCrypto);
      await assert.rejects(client.finish(new Uint8Array(length)), isRefusal);
    }
  }
});

Deno.test("X25519 values of small order are refused on both sides", async () => {
  // RFC 7748 §6.1 asks for the check; the values: 0, 1, the two of order 8, p - 1, p, p + 1.
  const smallOrder = [
    "00".repeat(32),
    "01" + "00".repeat(31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff".repeat(30) + "7f",
    "ed" + "ff".repeat(30) + "7f",
    "ee" + "ff".repeat(30) + "7f",
  ];
  for (const name of ["curve25519-sha256", "mlkem768x25519-sha256"]) {
    const method = kexMethods.get(name)!;
    for (const hex of smallOrder) {
      const client = await method.start(nodeCrypto);
      const init = concat(client.init.subarray(0, -32), decodeHex(hex));
      await assert.rejects(method.respond(nodeCrypto, init), isRefusal);
      const { reply } = await method.respond(nodeCrypto, client.init);
      await assert.rejects(client.finish(concat(reply.subarray(0, -32), decodeHex(hex))), isRefusal);
    }
  }
});

Deno.test("points that are not on the NIST curve, at infinity or compressed are refused on both sides", async () => {
  for (const method of [...kexMethods.values()].filter(({ name }) => name.startsWith("ecdh"))) {
    const size = (lengths[method.name][0] - 1) / 2;
    const bad = (point: Bytes): Bytes[] => [
      flip(point, 1 + size - 1),
      flip(point, point.length - 1),
      new Uint8Array(point.length),
      concat(new Uint8Array([4]), new Uint8Array(2 * size)),
      concat(new Uint8Array([4]), new Uint8Array(2 * size).fill(0xff)),
      concat(new Uint8Array([2]), point.subarray(1)),
      concat(new Uint8Array([2 + (point[2 * size] & 1)]), point.subarray(1, 1 + size)),
      new Uint8Array([0]),
    ];
    const client = await method.start(nodeCrypto);
    for (const init of bad(client.init)) await assert.rejects(method.respond(nodeCrypto, init), isRefusal);
    const { reply } = await method.respond(nodeCrypto, client.init);
    for (const forged of bad(reply)) await assert.rejects(client.finish(forged), isRefusal);
  }
});

Deno.test("an encapsulation key with coefficients that are not reduced is refused", async () => {
  // FIPS 203 §7.2, the modulus check
  const method = kexMethods.get("mlkem768x25519-sha256")!;
  const { init } = await method.start(nodeCrypto);
  init.fill(0xff, 0, 3);
  await assert.rejects(method.respond(nodeCrypto, init), isRefusal);
});

Deno.test("a changed ciphertext or value leaves the sides with different secrets", async () => {
  for (const method of kexMethods.values()) {
    if (method.name.startsWith("ecdh")) continue; // refused as no point: above
    const [, length] = lengths[method.name];
    for (const at of new Set([0, length >> 1, length - 33, length - 32, length - 2])) {
      if (at < 0) continue;
      const { secret, server } = await exchange(method, (reply) => flip(reply, at));
      assert.notDeepEqual(secret, server, `${method.name} byte ${at}`);
    }
  }
});

Deno.test("the secret of curve25519-sha256 is RFC 7748's, read as a big-endian number", async () => {
  // RFC 7748 §6.1 has fixed private keys, which the method does not take: the other side here is WebCrypto with Bob's.
  const pkcs8 = "302e020100300506032b656e04220420";
  const bob = await crypto.subtle.importKey(
    "pkcs8",
    decodeHex(pkcs8 + "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
    "X25519",
    false,
    ["deriveBits"],
  );
  const bobPublic = decodeHex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const client = await kexMethods.get("curve25519-sha256")!.start(nodeCrypto);
  const clientPublic = await crypto.subtle.importKey("raw", client.init, "X25519", false, []);
  const derived = { name: "X25519", public: clientPublic };
  const shared = new Uint8Array(await crypto.subtle.deriveBits(derived, bob, 256));
  const mpint = new Reader(await client.finish(bobPublic)).mpint();
  assert.equal(encodeHex(mpint), encodeHex(shared).replace(/^(00)+/, ""));
});
