import assert from "node:assert/strict";
import { concat, encodeText, randomBytes } from "../../../src/bytes/bytes.ts";
import { nodeCrypto } from "../../../src/deno/crypto_node.ts";
import { deriveKey, deriveKeys } from "../../../src/ssh/algorithms/kdf.ts";

const exchange = {
  hash: "sha256",
  secret: randomBytes(37),
  exchangeHash: randomBytes(32),
  sessionId: randomBytes(32),
} as const;

Deno.test("a key is the hash of secret, exchange hash, letter and session id, extended by hashes of itself", () => {
  const { secret, exchangeHash, sessionId } = exchange;
  const k1 = nodeCrypto.hash("sha256", concat(secret, exchangeHash, encodeText("C"), sessionId));
  const k2 = nodeCrypto.hash("sha256", concat(secret, exchangeHash, k1));
  const k3 = nodeCrypto.hash("sha256", concat(secret, exchangeHash, k1, k2));
  const all = concat(k1, k2, k3);
  for (const length of [0, 1, 31, 32, 33, 64, 65, 96]) {
    assert.deepEqual(deriveKey(nodeCrypto, exchange, "C", length), all.slice(0, length));
  }
});

Deno.test("each direction has its letters", () => {
  const lengths = { iv: 16, key: 32, mac: 64 };
  const expected = (iv: "A" | "B", key: "C" | "D", mac: "E" | "F") => ({
    iv: deriveKey(nodeCrypto, exchange, iv, 16),
    key: deriveKey(nodeCrypto, exchange, key, 32),
    mac: deriveKey(nodeCrypto, exchange, mac, 64),
  });
  const up = deriveKeys(nodeCrypto, exchange, "clientToServer", lengths);
  const down = deriveKeys(nodeCrypto, exchange, "serverToClient", lengths);
  assert.deepEqual(up, expected("A", "C", "E"));
  assert.deepEqual(down, expected("B", "D", "F"));
});
