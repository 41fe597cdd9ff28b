import assert from "node:assert/strict";
import { EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { signCertificate, withCertificate } from "../../../src/cert/certificate.ts";
import { generatePrivateKey } from "../../../src/keys/private_key.ts";
import type { Signer } from "../../../src/keys/types.ts";
import { ciphers } from "../../../src/ssh/algorithms/ciphers.ts";
import { type AlgorithmLists, supportedAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { hostKeyAlgorithms } from "../../../src/ssh/algorithms/key_algorithms.ts";
import type { ProvenHostKey } from "../../../src/ssh/transport/host_key.ts";
import { connectPair } from "../handshake.ts";

const types = [
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
] as const;
const authority = await generatePrivateKey("ssh-ed25519");

async function certified(signer: Signer, keyId = "host"): Promise<Signer> {
  const certificate = await signCertificate({
    role: "host",
    publicKey: signer.publicKey,
    serial: 1n,
    keyId,
    principals: ["web.example.com"],
    validAfter: 0n,
    validBefore: 4_000_000_000n,
  }, authority);
  return withCertificate(signer, certificate);
}

const hostKeys = await Promise.all(
  types.map(async (type) => await certified(await generatePrivateKey(type))),
);

/** Connects with just these and talks a little, a key renewal in the middle. */
async function tryOut(lists: Partial<AlgorithmLists>): Promise<ProvenHostKey> {
  const algorithms = { ...supportedAlgorithms, ...lists };
  let proven: ProvenHostKey | undefined;
  await using pair = await connectPair({
    server: { algorithms, hostKeys },
    client: {
      algorithms,
      verifyHostKey: (hostKey) => {
        proven = hostKey;
        return true;
      },
    },
  });
  const { negotiated } = pair.client;
  assert.deepEqual(negotiated, pair.server.negotiated);
  assert.equal(negotiated.kex, algorithms.kex[0]);
  assert.equal(negotiated.hostKey, algorithms.hostKey[0]);
  for (const direction of [negotiated.clientToServer, negotiated.serverToClient]) {
    assert.equal(direction.cipher, algorithms.cipher[0]);
    assert.equal(direction.mac, ciphers.get(direction.cipher)!.aead ? undefined : algorithms.mac[0]);
  }
  pair.server.onGlobalRequest = ({ data }) => data;
  for (const size of [1, 15, 16, 17, 4000, 200_000]) {
    const sent = new Uint8Array(size).fill(size);
    assert.deepEqual(await pair.client.request("echo", sent, true), sent);
    pair.client.rekey();
  }
  return proven!;
}

for (const kex of supportedAlgorithms.kex) {
  for (const hostKey of supportedAlgorithms.hostKey) {
    Deno.test(`${kex} with a ${hostKey} host key`, async () => {
      const proven = await tryOut({ kex: [kex], hostKey: [hostKey] });
      const row = hostKeyAlgorithms.get(hostKey)!;
      assert.equal(proven.algorithm, hostKey);
      assert.equal(proven.key.type, row.keyType);
      assert.equal(proven.certificate?.keyId, row.certificate ? "host" : undefined);
    });
  }
}

for (const cipher of supportedAlgorithms.cipher) {
  const macs = ciphers.get(cipher)!.aead ? [supportedAlgorithms.mac[0]] : supportedAlgorithms.mac;
  for (const mac of macs) {
    Deno.test(`${cipher}${macs.length > 1 ? ` with ${mac}` : ""}`, async () => {
      await tryOut({ kex: ["curve25519-sha256"], hostKey: ["ssh-ed25519"], cipher: [cipher], mac: [mac] });
    });
  }
}

Deno.test("each direction may have its own cipher, and the client's preference decides", async () => {
  const cipher = ["aes256-ctr", "aes128-gcm@openssh.com"];
  await using pair = await connectPair({
    server: { algorithms: { ...supportedAlgorithms, cipher: cipher.toReversed() } },
    client: { algorithms: { ...supportedAlgorithms, cipher } },
  });
  assert.equal(pair.client.negotiated.clientToServer.cipher, "aes256-ctr");
});

Deno.test("nothing in common is an error that lists both sides, on both sides", async () => {
  const attempt = connectPair({
    server: { algorithms: { ...supportedAlgorithms, cipher: ["aes256-ctr"] } },
    client: { algorithms: { ...supportedAlgorithms, cipher: ["aes128-ctr"] } },
  });
  await assert.rejects(attempt, /no common cipher client to server.*aes128-ctr.*aes256-ctr/);
});

Deno.test("a host certificate that changes is verified anew at the next key exchange, the same one is not", async () => {
  const [key] = hostKeys;
  let serving = key;
  const seen: string[] = [];
  await using pair = await connectPair({
    server: { hostKeys: () => [serving] },
    client: {
      verifyHostKey: ({ certificate }) => {
        seen.push(certificate!.keyId);
        return certificate!.keyId === "stolen" ? "this certificate was revoked" : true;
      },
    },
  });
  pair.server.onGlobalRequest = () => true;
  const renew = async () => {
    pair.client.rekey();
    await pair.client.request("behind the exchange", EMPTY, true);
  };
  await renew();
  assert.deepEqual(seen, ["host"]);
  serving = await certified(key, "renewed");
  await renew();
  await renew();
  assert.deepEqual(seen, ["host", "renewed"]);
  assert.equal(pair.client.provenHostKey!.certificate!.keyId, "renewed");
  assert.deepEqual(pair.client.hostKey, serving.certificate);
  serving = await certified(key, "stolen");
  pair.client.rekey();
  assert.match((await pair.client.closed)!.message, /this certificate was revoked/);
  await pair.server.closed;
});

Deno.test("what was proven stays as it was when later packets have used the buffers", async () => {
  await using pair = await connectPair({ server: { hostKeys }, client: { verifyHostKey: () => true } });
  const { certificate, key, blob } = pair.client.provenHostKey!;
  pair.server.onGlobalRequest = ({ data }) => data;
  for (let i = 0; i < 5; i++) await pair.client.request("echo", encodeText("x".repeat(30_000)), true);
  assert.deepEqual(blob, hostKeys[0].certificate);
  assert.deepEqual(key.blob, hostKeys[0].publicKey.blob);
  assert.deepEqual(certificate!.blob ?? blob, hostKeys[0].certificate);
  assert.deepEqual([...certificate!.principals], ["web.example.com"]);
});
