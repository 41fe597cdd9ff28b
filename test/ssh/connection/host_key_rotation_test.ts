import assert from "node:assert/strict";
import { type Bytes, equal } from "../../../src/bytes/bytes.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { generatePrivateKey } from "../../../src/keys/private_key.ts";
import type { PublicKey, Signer } from "../../../src/keys/types.ts";
import { supportedAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import {
  type AnnouncedHostKeys,
  announceHostKeys,
  followHostKeys,
} from "../../../src/ssh/connection/host_key_rotation.ts";
import { Router } from "../../../src/ssh/connection/router.ts";
import type { Connection } from "../../../src/ssh/connection/types.ts";
import { deadline } from "../../support/wait.ts";
import { type ConnectedPair, connectPair, hostKey } from "../handshake.ts";

const ed25519 = await generatePrivateKey("ssh-ed25519");
const ecdsa = await generatePrivateKey("ecdsa-sha2-nistp256");
const rsa = await generatePrivateKey("ssh-rsa");

/** What the client learns from a server that does `serve` once it is connected. */
async function learn(
  serve: (connection: Connection, router: Router) => void,
  isKnown: (key: PublicKey) => boolean = (key) => equal(key.blob, hostKey.publicKey.blob),
): Promise<AnnouncedHostKeys> {
  const learned = Promise.withResolvers<AnnouncedHostKeys>();
  learned.promise.catch(() => {});
  await using _pair: ConnectedPair = await connectPair({
    server: { prepare: (connection) => serve(connection, new Router(connection)) },
    client: {
      prepare: (connection) =>
        followHostKeys(connection, new Router(connection), {
          isKnown,
          onHostKeys: learned.resolve,
          onFailure: learned.reject,
        }),
    },
  });
  return await deadline(learned.promise, "the host keys");
}

function announce(...hostKeys: Signer[]) {
  return (connection: Connection, router: Router) =>
    announceHostKeys(connection, router, { hostKeys: () => hostKeys, algorithm: "ssh-ed25519" });
}

const blobs = (keys: readonly PublicKey[]) => keys.map((key) => key.blob);

Deno.test("keys of every type are announced and proven; known ones need no proof", async () => {
  const { known, proven } = await learn(announce(hostKey, ed25519, ecdsa, rsa));
  assert.deepEqual(blobs(known), [hostKey.publicKey.blob]);
  assert.deepEqual(blobs(proven), blobs([ed25519.publicKey, ecdsa.publicKey, rsa.publicKey]));
});

Deno.test("a server with nothing new is not asked for proof", async () => {
  let asked = false;
  const { known, proven } = await learn((connection, router) => {
    announce(hostKey)(connection, router);
    const answer = connection.onGlobalRequest!;
    connection.onGlobalRequest = (request) => {
      asked = true;
      return answer(request);
    };
  });
  assert.deepEqual([known.length, proven.length, asked], [1, 0, false]);
});

/** Announces the blobs and answers the demand with what `prove` makes of it. */
function lie(announced: Bytes[], prove: (data: Bytes) => Promise<Bytes | false>) {
  return (connection: Connection, router: Router) => {
    router.onRequest("hostkeys-prove-00@openssh.com", ({ data }) => prove(data));
    const writer = new Writer();
    for (const blob of announced) writer.string(blob);
    connection.request("hostkeys-00@openssh.com", writer.finish(), false);
  };
}

Deno.test("a key that the server does not hold is not learned", async () => {
  const other = await generatePrivateKey("ssh-ed25519");
  const sign = async (data: Bytes) => new Writer().string(await other.sign("ssh-ed25519", data)).finish();
  const stolen = [hostKey.publicKey.blob, ed25519.publicKey.blob];
  await assert.rejects(learn(lie(stolen, () => Promise.resolve(false))), { code: "host-key" });
  await assert.rejects(learn(lie(stolen, sign)), { code: "host-key" });
  // The right key, but the proof is not for this connection.
  const replayed = async () =>
    new Writer().string(
      await ed25519.sign(
        "ssh-ed25519",
        new Writer().string("hostkeys-prove-00@openssh.com").string(new Uint8Array(32)).string(
          ed25519.publicKey.blob,
        ).finish(),
      ),
    ).finish();
  await assert.rejects(learn(lie(stolen, replayed)), { code: "host-key" });
  await assert.rejects(learn(lie(stolen, () => Promise.resolve(new Uint8Array(0)))), { code: "host-key" });
});

Deno.test("one key without proof spoils the list", async () => {
  const sessionless = lie([ed25519.publicKey.blob, rsa.publicKey.blob], async (data) => {
    const first = await ed25519.sign("ssh-ed25519", data);
    return new Writer().string(first).finish();
  });
  await assert.rejects(learn(sessionless), { code: "host-key" });
});

Deno.test("endless and malformed lists are refused, unknown types left out", async () => {
  const endless = Array.from({ length: 33 }, () => ed25519.publicKey.blob);
  await assert.rejects(learn(lie(endless, () => Promise.resolve(false))), /more than 32/);
  const cut = (connection: Connection) =>
    void connection.request("hostkeys-00@openssh.com", new Uint8Array([0, 0, 1, 0, 1]), false);
  await assert.rejects(learn(cut), /needs 256 bytes/);
  const future = new Writer().string("ssh-future").string("key").finish();
  const { known, proven } = await learn(
    lie([future, hostKey.publicKey.blob, hostKey.publicKey.blob], () => Promise.resolve(false)),
  );
  assert.deepEqual([known.length, proven.length], [1, 0]);
});

Deno.test("a second list is not looked at", async () => {
  let asked = 0;
  await learn((connection, router) => {
    announce(hostKey)(connection, router);
    announce2(connection);
  }, (key) => {
    asked++;
    return equal(key.blob, hostKey.publicKey.blob);
  });
  assert.equal(asked, 1);
  function announce2(connection: Connection) {
    const list = new Writer().string(ed25519.publicKey.blob).finish();
    connection.request("hostkeys-00@openssh.com", list, false);
  }
});

Deno.test("a server proves only its own keys, and not without end", async () => {
  await using pair = await connectPair({
    server: { prepare: (connection) => announce(hostKey)(connection, new Router(connection)) },
  });
  const demand = (...keys: Bytes[]) => {
    const writer = new Writer();
    for (const key of keys) writer.string(key);
    return pair.client.request("hostkeys-prove-00@openssh.com", writer.finish(), true);
  };
  assert.notEqual(await demand(hostKey.publicKey.blob), false);
  assert.equal(await demand(ed25519.publicKey.blob), false);
  assert.equal(await demand(hostKey.publicKey.blob, hostKey.publicKey.blob), false);
  assert.equal(await demand(), false);
  for (let i = 0; i < 4; i++) assert.notEqual(await demand(hostKey.publicKey.blob), false);
  assert.equal(await demand(hostKey.publicKey.blob), false);
});

Deno.test("with an RSA key exchange, RSA keys prove themselves in its signature algorithm", async () => {
  const signed: string[] = [];
  const watched: Signer = {
    publicKey: rsa.publicKey,
    sign: (algorithm, data) => {
      signed.push(algorithm);
      return rsa.sign(algorithm, data);
    },
  };
  for (const algorithm of ["rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com", "ssh-ed25519"]) {
    await learn((connection, router) =>
      announceHostKeys(connection, router, { hostKeys: () => [watched], algorithm })
    );
  }
  assert.deepEqual(signed, ["rsa-sha2-256", "rsa-sha2-256", "rsa-sha2-512"]);
  assert.ok(supportedAlgorithms.hostKey.includes("rsa-sha2-256"));
});
