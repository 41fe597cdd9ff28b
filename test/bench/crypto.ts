/**
 * Packet protection by itself: MB/s and ns a packet, sealing and opening, for both crypto providers in one run.
 *
 *     deno run -A test/bench/crypto.ts
 */
import { type Bytes, randomBytes } from "../../src/bytes/bytes.ts";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import type { CryptoProvider } from "../../src/platform/crypto.ts";
import { createOpener, createSealer, keyMaterial } from "../../src/ssh/algorithms/ciphers.ts";
import { kexMethods } from "../../src/ssh/algorithms/kex.ts";

const PAYLOADS = [32768, 64];
/** Packets sealed ahead, so that opening can be timed alone: few, to stay in the cache as those of a connection do. */
const BATCH = 4;
/** Milliseconds for each figure. */
const TIME = 250;

const protections: [cipher: string, mac: string | undefined][] = [
  ["aes128-gcm@openssh.com", undefined],
  ["aes256-gcm@openssh.com", undefined],
  ["chacha20-poly1305@openssh.com", undefined],
  ["aes128-ctr", "hmac-sha2-256-etm@openssh.com"],
  ["aes256-ctr", "hmac-sha2-512-etm@openssh.com"],
];

function benchProtection(crypto: CryptoProvider, cipher: string, mac: string | undefined, payload: number) {
  const lengths = keyMaterial(cipher, mac);
  const keys = { iv: randomBytes(lengths.iv), key: randomBytes(lengths.key), mac: randomBytes(lengths.mac) };
  const sealer = createSealer(crypto, cipher, mac, keys);
  const opener = createOpener(crypto, cipher, mac, keys);
  // 4 of length, 12 of padding_length and padding.
  const packets = Array.from({ length: BATCH }, () => new Uint8Array(4 + 12 + payload + sealer.tagLength));
  const heads = packets.map((packet) => packet.subarray(0, opener.headLength));
  let sequence = 0;
  let sealing = 0;
  let opening = 0;
  let count = 0;
  const run = (until: number) => {
    sealing = opening = count = 0;
    while (sealing + opening < until) {
      const start = performance.now();
      for (let i = 0; i < BATCH; i++) sealer.seal(sequence + i, packets[i]);
      const middle = performance.now();
      for (let i = 0; i < BATCH; i++) openOne(opener, sequence + i, heads[i], packets[i]);
      sealing += middle - start;
      opening += performance.now() - middle;
      count += BATCH;
      sequence += BATCH;
    }
  };
  run(TIME / 3); // until the compiler has settled
  run(2 * TIME);
  sealer.free();
  opener.free();
  return { seal: sealing / count, open: opening / count };
}

function openOne(
  opener: ReturnType<typeof createOpener>,
  sequence: number,
  head: Bytes,
  packet: Bytes,
): void {
  opener.length(sequence, head);
  if (!opener.open(sequence, packet)) throw new Error("a packet did not open");
}

async function benchKex(name: string): Promise<{ client: number; server: number }> {
  const method = kexMethods.get(name)!;
  let client = 0;
  let server = 0;
  const rounds = 100;
  for (let i = -10; i < rounds; i++) {
    if (i === 0) client = server = 0;
    const t0 = performance.now();
    const exchange = await method.start(nodeCrypto);
    const t1 = performance.now();
    const { reply } = await method.respond(nodeCrypto, exchange.init);
    const t2 = performance.now();
    await exchange.finish(reply);
    client += t1 - t0 + performance.now() - t2;
    server += t2 - t1;
  }
  return { client: client / rounds, server: server / rounds };
}

function figure(ms: number, payload: number): string {
  const rate = (payload / 1e3 / ms).toFixed(0);
  return `${rate.padStart(6)} MB/s ${(ms * 1e6).toFixed(0).padStart(8)} ns`;
}

for (const crypto of [(await chooseCrypto()).provider, nodeCrypto]) {
  console.log(`\n${crypto.name.padEnd(45)} ${"payload".padStart(7)}   ${"seal".padEnd(23)}   open`);
  for (const [cipher, mac] of protections) {
    for (const payload of PAYLOADS) {
      const { seal, open } = benchProtection(crypto, cipher, mac, payload);
      const label = mac ? `${cipher} ${mac.replace("@openssh.com", "")}` : cipher;
      const figures = `${figure(seal, payload)}   ${figure(open, payload)}`;
      console.log(`${label.padEnd(45)} ${String(payload).padStart(7)}   ${figures}`);
    }
  }
}

console.log("\nkey exchange, ms of this thread and WebCrypto's: client, server");
for (const name of kexMethods.keys()) {
  const { client, server } = await benchKex(name);
  console.log(`${name.padEnd(45)} ${client.toFixed(2).padStart(7)} ${server.toFixed(2).padStart(7)}`);
}
