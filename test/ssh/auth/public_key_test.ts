/** What an attacker tries with keys, certificates and signatures; the client here is one that lies. */
import assert from "node:assert/strict";
import { type Bytes, concat, equal } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import type { KeyType, Signer } from "../../../src/keys/types.ts";
import { keyAlgorithms } from "../../../src/ssh/algorithms/key_algorithms.ts";
import {
  HostboundFields,
  HostboundQueryFields,
  PublicKeyFields,
  PublicKeyQueryFields,
  signedData,
  type SignedRequest,
  UserauthBanner,
  UserauthPkOk,
} from "../../../src/ssh/auth/messages.ts";
import type { PublicKeyRequest, ServerAuth, Verdict } from "../../../src/ssh/auth/server/types.ts";
import { request, serve, SESSION, START } from "./in_memory.ts";
import { certified, fidoSigner, KEY_TYPES, testKey } from "./test_keys.ts";

const no = { result: "refused" } as const;
const yes: Verdict<string> = { result: "accepted", identity: "holder" };
const anyone: ServerAuth<string> = { publicKey: () => yes };

/** What the lying client claims, signs and sends: by default the truth. */
interface Lie {
  readonly user?: string;
  readonly algorithm?: string;
  readonly blob?: Bytes;
  /** The algorithm that really signs. */
  readonly signature?: string;
  /** What is signed instead of what is sent. */
  readonly signed?: Partial<SignedRequest>;
  /** The host key to bind to: makes the request host-bound. */
  readonly hostKey?: Bytes;
  readonly tamper?: (signature: Bytes) => Bytes;
}

async function proof(signer: Signer, lie: Lie = {}): Promise<Bytes> {
  const { user = "ann", hostKey, tamper = (signature) => signature } = lie;
  const { algorithm = signer.publicKey.signatureAlgorithms[0], blob = signer.publicKey.blob } = lie;
  const honest = { sessionId: SESSION.sessionId, user, service: "ssh-connection", algorithm, blob, hostKey };
  const data = signedData({ ...honest, ...lie.signed });
  const signature = tamper(await signer.sign(lie.signature ?? signer.publicKey.signatureAlgorithms[0], data));
  return hostKey
    ? request(
      "publickey-hostbound-v00@openssh.com",
      HostboundFields.encode({ signed: true, algorithm, blob, hostKey, signature }),
      user,
    )
    : request("publickey", PublicKeyFields.encode({ signed: true, algorithm, blob, signature }), user);
}

function question({ publicKey: { signatureAlgorithms: [algorithm], blob } }: Signer): Bytes {
  return request("publickey", PublicKeyQueryFields.encode({ signed: false, algorithm, blob }));
}

/** One signed request to a server that lets everybody in who proves a key. */
async function judge(payload: Bytes, config = anyone): Promise<"in" | string> {
  const { outcome, attempts } = await serve(config, [START, payload]);
  return outcome instanceof Error ? attempts[0].reason ?? outcome.message : "in";
}

const [A, B] = [await testKey("ssh-ed25519", "A"), await testKey("ssh-ed25519", "B")];

Deno.test("the lying client is let in when it tells the truth", async () => {
  assert.equal(await judge(await proof(A)), "in");
  assert.equal(await judge(await proof(A, { hostKey: SESSION.hostKey })), "in");
});

/** CVE-2024-45337. */
Deno.test("who asks about A and signs with B is B", async () => {
  const onlyA: ServerAuth<string> = { publicKey: ({ key }) => equal(key.blob, A.publicKey.blob) ? yes : no };
  const { replies } = await serve(onlyA, [START, question(A), await proof(B)]);
  assert.deepEqual(replies, ["accept", "60", "failure publickey"]);

  const anybody: ServerAuth<Bytes> = { publicKey: ({ key }) => ({ result: "accepted", identity: key.blob }) };
  const { outcome } = await serve(anybody, [START, question(A), question(A), await proof(B)]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(outcome.identity, B.publicKey.blob);
  assert.deepEqual(outcome.methods[0].key?.blob, B.publicKey.blob);
});

Deno.test("who claims A and signs with B is nobody, and no callback hears of a proof", async () => {
  const heard: boolean[] = [];
  const config: ServerAuth<string> = { publicKey: ({ proven }) => (heard.push(proven), yes) };
  const { replies, attempts } = await serve(config, [
    START,
    question(A),
    await proof(B, { blob: A.publicKey.blob }),
  ]);
  assert.deepEqual(replies, ["accept", "60", "failure publickey"]);
  assert.deepEqual(heard, [false]);
  assert.equal(attempts[1].reason, "wrong signature");
});

Deno.test("a yes to the question is no yes to the proof", async () => {
  const config: ServerAuth<string> = { publicKey: ({ proven }) => proven ? no : yes };
  const { replies } = await serve(config, [START, question(A), await proof(A)]);
  assert.deepEqual(replies, ["accept", "60", "failure publickey"]);
});

Deno.test("PK_OK repeats the algorithm and the key of the question", async () => {
  const { sent } = await serve(anyone, [START, question(A)]);
  const { algorithm, blob } = UserauthPkOk.decode(sent[1]);
  assert.equal(algorithm, "ssh-ed25519");
  assert.deepEqual(blob, A.publicKey.blob);
});

const other = new Uint8Array(32).fill(9);
const lies: readonly (readonly [what: string, lie: Lie])[] = [
  ["for another session", { signed: { sessionId: other } }],
  ["for another user", { signed: { user: "bob" } }],
  ["for another service", { signed: { service: "ssh-userauth" } }],
  ["for another algorithm name", { signed: { algorithm: "ssh-ed25519-cert-v01@openssh.com" } }],
  ["for another key", { signed: { blob: B.publicKey.blob } }],
  ["for the host-bound form of the request", { signed: { hostKey: SESSION.hostKey } }],
  ["for the plain form, sent host-bound", { hostKey: SESSION.hostKey, signed: { hostKey: undefined } }],
  ["for another host key", { hostKey: SESSION.hostKey, signed: { hostKey: other } }],
  ["cut short", { tamper: (signature) => signature.slice(0, -1) }],
  ["with bytes after it", { tamper: (signature) => concat(signature, new Uint8Array(1)) }],
  ["that is empty", { tamper: () => new Uint8Array(0) }],
  ["of all zeros", { tamper: (signature) => concat(signature.slice(0, -64), new Uint8Array(64)) }],
];

for (const [what, lie] of lies) {
  Deno.test(`a signature ${what} is refused`, async () => {
    assert.equal(await judge(await proof(A, lie)), "wrong signature");
  });
}

Deno.test("a host-bound request for another host is refused, asked or signed", async () => {
  assert.equal(await judge(await proof(A, { hostKey: other })), "bound to another host key");
  const { publicKey: { blob } } = A;
  const fields = HostboundQueryFields.encode({
    signed: false,
    algorithm: "ssh-ed25519",
    blob,
    hostKey: other,
  });
  assert.equal(
    await judge(request("publickey-hostbound-v00@openssh.com", fields)),
    "bound to another host key",
  );
});

for (const type of KEY_TYPES) {
  Deno.test(`a signature of ${type} with any one byte changed is refused`, async () => {
    const signer = await testKey(type);
    const length = (await signer.sign(signer.publicKey.signatureAlgorithms[0], other)).length;
    for (let at = 0; at < length; at++) {
      const tamper = (signature: Bytes) => {
        // ECDSA signatures vary in length: the last byte stands for those beyond.
        signature[Math.min(at, signature.length - 1)] ^= 1 << (at % 8);
        return signature;
      };
      assert.notEqual(await judge(await proof(signer, { tamper })), "in", `byte ${at}`);
    }
  });
}

Deno.test("RSA: the signature is of the very algorithm that was asked for", async () => {
  const rsa = await testKey("ssh-rsa");
  const withCertificate = await certified(rsa);
  const plain = ["rsa-sha2-256", "rsa-sha2-512"];
  for (const asked of plain) {
    for (const signature of [...plain, "ssh-rsa"]) {
      const expected = asked === signature ? "in" : "wrong signature";
      assert.equal(
        await judge(await proof(rsa, { algorithm: asked, signature })),
        expected,
        `${asked} ${signature}`,
      );
      const algorithm = `${asked}-cert-v01@openssh.com`;
      const lie = { algorithm, blob: withCertificate.certificate, signature };
      assert.equal(await judge(await proof(rsa, lie)), expected, `${algorithm} ${signature}`);
    }
  }
});

Deno.test("RSA with SHA-1 is refused before anyone is asked, with a sentence for the user", async () => {
  const rsa = await testKey("ssh-rsa");
  const { blob } = rsa.publicKey;
  const asked = request(
    "publickey",
    PublicKeyQueryFields.encode({ signed: false, algorithm: "ssh-rsa", blob }),
  );
  const signed = await proof(rsa, { algorithm: "ssh-rsa", signature: "ssh-rsa" });
  const { sent, replies } = await serve(anyone, [START, asked, signed]);
  assert.deepEqual(replies, ["accept", "banner", "failure publickey", "failure publickey"]);
  assert.match(UserauthBanner.decode(sent[1]).text, /rsa-sha2-256.*update your SSH client/);
});

Deno.test("the key is of the type that the algorithm names: every algorithm with every other's key", async () => {
  for (const algorithm of keyAlgorithms.values()) {
    for (const type of KEY_TYPES) {
      for (const signer of [await testKey(type), await certified(await testKey(type))]) {
        const blob = signer.certificate ?? signer.publicKey.blob;
        const fits = new Reader(blob).text() === algorithm.blobType;
        const fields = PublicKeyQueryFields.encode({ signed: false, algorithm: algorithm.name, blob });
        const { attempts } = await serve(anyone, [START, request("publickey", fields)]);
        assert.equal(attempts[0].result, fits ? "known" : "refused", `${algorithm.name} with ${type}`);
      }
    }
  }
});

Deno.test("a signature that calls itself by the certificate's name is refused", async () => {
  const { certificate: blob } = await certified(A);
  const algorithm = "ssh-ed25519-cert-v01@openssh.com";
  const rename = (signature: Bytes) => {
    const reader = new Reader(signature);
    reader.string();
    return concat(new Writer().string(algorithm).finish(), reader.rest());
  };
  assert.equal(await judge(await proof(A, { algorithm, blob })), "in");
  assert.equal(await judge(await proof(A, { algorithm, blob, tamper: rename })), "wrong signature");
});

Deno.test("every truncation of a key and of a certificate is refused, and the connection lives", async () => {
  for (const type of ["ssh-ed25519", "ssh-rsa"] satisfies KeyType[]) {
    const { publicKey, certificate } = await certified(await testKey(type));
    const plain = publicKey.signatureAlgorithms[0];
    for (
      const [algorithm, blob] of [[plain, publicKey.blob], [
        `${plain}-cert-v01@openssh.com`,
        certificate!,
      ]] as const
    ) {
      for (let length = 0; length < blob.length; length++) {
        const fields = PublicKeyQueryFields.encode({ signed: false, algorithm, blob: blob.slice(0, length) });
        const { replies } = await serve(anyone, [START, request("publickey", fields)]);
        assert.deepEqual(replies, ["accept", "failure publickey"], `${algorithm} cut to ${length}`);
      }
    }
  }
});

/** CVE-2026-35414: what looks like a list stays one principal, what looks like one user stays that user. */
Deno.test("principals and users reach the callback as they are, never split", async () => {
  const principals = ["deploy,root", "ann ", "*", "ROOT"];
  const signer = await certified(A, principals);
  const seen: PublicKeyRequest[] = [];
  const config: ServerAuth<string> = { publicKey: (request) => (seen.push(request), yes) };
  const algorithm = "ssh-ed25519-cert-v01@openssh.com";
  const payload = await proof(A, { user: "deploy,root", algorithm, blob: signer.certificate });
  assert.ok(!((await serve(config, [START, payload])).outcome instanceof Error));
  assert.deepEqual(seen[0].certificate?.principals, principals);
  assert.equal(seen[0].user, "deploy,root");
  assert.deepEqual(seen[0].key.blob, A.publicKey.blob);
  assert.equal(seen[0].proven, true);
});

const PRESENT = 0x01;
const VERIFIED = 0x04;

for (const type of KEY_TYPES.filter((type) => type.startsWith("sk-"))) {
  Deno.test(`${type}: touch unless waived, verification when demanded`, async () => {
    const key = await testKey(type);
    const untouched = "the security key was not touched";
    const unverified = "the security key did not verify its user";
    const rows = [
      [0, undefined, untouched],
      [VERIFIED, undefined, untouched],
      [PRESENT, undefined, "in"],
      [0, { touch: false }, "in"],
      [PRESENT, { verification: true }, unverified],
      [PRESENT | VERIFIED, { verification: true }, "in"],
      [VERIFIED, { verification: true }, untouched],
      [VERIFIED, { touch: false, verification: true }, "in"],
    ] as const;
    for (const [flags, fido, expected] of rows) {
      const payload = await proof(fidoSigner(key, flags));
      const seen: unknown[] = [];
      const verdict = await judge(payload, {
        publicKey: (request) => (seen.push(request.fido), { ...yes, fido } as Verdict<string>),
      });
      assert.equal(verdict, expected, `flags ${flags} ${JSON.stringify(fido)}`);
      assert.deepEqual(seen, [
        { userPresent: (flags & PRESENT) !== 0, userVerified: (flags & VERIFIED) !== 0, counter: 7 },
      ]);
      const partial = await serve(
        { publicKey: () => ({ result: "partial", methods: ["publickey"], fido } as const) },
        [START, payload],
      );
      assert.equal(partial.replies[1], expected === "in" ? "partial publickey" : "failure publickey");
    }
  });
}

Deno.test("ordinary keys owe nobody a touch", async () => {
  const config: ServerAuth<string> = {
    publicKey: () => ({ ...yes, fido: { verification: true } } as Verdict<string>),
  };
  assert.equal(await judge(await proof(A), config), "in");
});
