import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat } from "../../src/bytes/bytes.ts";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { selfTest } from "../../src/deno/crypto_self_test.ts";
import { libcryptoPaths } from "../../src/deno/libcrypto_library.ts";
import type { CryptoProvider } from "../../src/platform/crypto.ts";
import { cryptoContract } from "./crypto_contract.ts";

// The tests need a libcrypto: one that silently fell back would test the portable provider twice.
const libcrypto = (await chooseCrypto()).provider;

cryptoContract(nodeCrypto);
cryptoContract(libcrypto);

Deno.test("libcrypto is found on this machine", () => {
  assert.match(libcrypto.name, /^libcrypto OpenSSL \d+\.\d+\.\d+$/);
});

Deno.test("both providers seal to the same bytes and open each other's packets", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(own);
  const sequences = fc.nat({ max: 0xffffffff });
  const contents = fc.uint8Array({ maxLength: 2000 }).map(own);
  fc.assert(
    fc.property(bytes(64), bytes(16), sequences, contents, (key, iv, sequence, content) => {
      const room = concat(content.subarray(0, 4), new Uint8Array(4), content, new Uint8Array(16));
      const results = [nodeCrypto, libcrypto].map((crypto) => protect(crypto, key, iv, sequence, room));
      assert.deepEqual(results[0], results[1]);
    }),
    { numRuns: 50 },
  );
});

function protect(crypto: CryptoProvider, key: Bytes, iv: Bytes, sequence: number, room: Bytes): Bytes[] {
  const chachaPoly = crypto.chachaPoly(key);
  const gcm = [crypto.aesGcm(key.slice(0, 16)), crypto.aesGcm(key.slice(0, 32))];
  const ctr = [16, 24, 32].map((length) => crypto.aesCtr(key.slice(0, length), iv));
  const hmac = (["sha256", "sha512"] as const).map((hash) => crypto.hmac(hash, key));
  const results = [
    run(room, (packet) => chachaPoly.seal(sequence, packet)),
    ...gcm.map((cipher) => run(room, (packet) => cipher.seal(iv.subarray(0, 12), 4, packet))),
    ...ctr.map((cipher) => run(room, (packet) => cipher.xor(packet, 4, packet.length))),
    ...hmac.map((mac) => run(new Uint8Array(64), (tag) => mac.sign(sequence, room, room.length, tag))),
    crypto.hash("sha384", key, room),
  ];
  for (const object of [chachaPoly, ...gcm, ...ctr, ...hmac]) object.free();
  return results;
}

function run(input: Bytes, change: (bytes: Bytes) => void): Bytes {
  const bytes = input.slice();
  change(bytes);
  return bytes;
}

function own(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

Deno.test("the self-test passes both providers and names what a broken one gets wrong", () => {
  selfTest(nodeCrypto);
  selfTest(libcrypto);
  const broken: CryptoProvider = {
    ...nodeCrypto,
    aesGcm: (key) => {
      const gcm = nodeCrypto.aesGcm(key);
      return {
        seal: (...args) => gcm.seal(...args),
        open: (...args) => (gcm.open(...args), true),
        free: () => gcm.free(),
      };
    },
  };
  assert.throws(() => selfTest(broken), /fails its self-test of AES-GCM/);
});

Deno.test("libcrypto can be turned off", async () => {
  const { provider, why } = await chooseCrypto({ libcrypto: false });
  assert.equal(provider, nodeCrypto);
  assert.equal(why, "libcrypto is turned off");
});

Deno.test("a configured library that cannot be used is an error, not a silent fallback", async () => {
  await assert.rejects(
    chooseCrypto({ libcrypto: "/nonexistent/libcrypto.so.3" }),
    /\/nonexistent\/libcrypto/,
  );
});

Deno.test("libcrypto is looked for at absolute paths only, the version written for first", () => {
  for (const arch of ["x86_64", "aarch64", "riscv64gc"]) {
    for (const os of ["linux", "darwin"]) {
      const paths = libcryptoPaths(os, arch);
      assert.ok(paths.length > 0);
      for (const path of paths) assert.match(path, /^\/.*libcrypto/);
    }
    assert.match(libcryptoPaths("linux", arch)[0], /\.so\.3$/);
  }
});

/** Runs `chooseCrypto` in a Deno of its own with these permissions; resolves to `name|why`. */
async function chooseWith(...permissions: string[]): Promise<string> {
  const script = `import { chooseCrypto } from ${
    JSON.stringify(import.meta.resolve("../../src/deno/crypto.ts"))
  };
    const { provider, why } = await chooseCrypto();
    console.log(provider.name + "|" + why);`;
  const config = new URL(import.meta.resolve("../../deno.json")).pathname;
  const args = ["run", "--quiet", "--no-prompt", "--no-check", "--config", config, ...permissions, "-"];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { stdout, code } = await child.output();
  assert.equal(code, 0);
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("without permission the portable provider is chosen, and the reason says what to allow", async () => {
  assert.match(await chooseWith(), /^node:crypto\|.*--allow-ffi=\/.*libcrypto\.so\.3$/);
});

Deno.test("permission for the one library suffices", async () => {
  const path = /found (.*)$/.exec((await chooseCrypto()).why)![1];
  assert.equal(await chooseWith(`--allow-ffi=${path}`), `${libcrypto.name}|found ${path}`);
});
