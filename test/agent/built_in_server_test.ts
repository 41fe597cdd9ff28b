/** What one connection of the built-in server may hold. */
import assert from "node:assert/strict";
import { EMPTY } from "../../src/bytes/bytes.ts";
import { BuiltInServer } from "../../src/agent/built_in_server.ts";
import { defaultSessionPolicy } from "../../src/agent/exec.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { denoNet } from "../../src/deno/net.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type ClientConnection, connectSsh } from "../../src/ssh/client.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { settle } from "../support/fake_clock.ts";
import { clientOptions, hostKey } from "../ssh/handshake.ts";
import { host, own } from "./session_server.ts";

/** A client of a server that grants so many sessions, and nothing beside them. */
async function connected(maxSessions: number): Promise<{ client: ClientConnection } & AsyncDisposable> {
  const server = new BuiltInServer({
    policy: () => ({
      hostKeys: [hostKey],
      loginGraceMs: 10_000,
      auth: {
        publicKey: () => ({
          result: "accepted",
          identity: {
            account: own,
            credential: "a key",
            session: defaultSessionPolicy,
            forwarding: { dialUnix: false, listenUnix: false },
            maxSessions,
          },
        }),
      },
    }),
    crypto: nodeCrypto,
    clock: systemClock,
    sessions: host,
    forwards: { net: denoNet, ownAddresses: () => [] },
    builtins: {},
    inherited: {},
    log: () => {},
  });
  const [near, far] = duplexPair();
  const served = server.serve(far, { address: "192.0.2.7", port: 4711 });
  const client = await connectSsh(near, clientOptions());
  return {
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await served;
    },
  };
}

const refused = { code: "channel-refused", message: /no more sessions on this connection/ };

Deno.test("a connection has as many sessions at once as it is granted", async () => {
  await using scene = await connected(2);
  const { client } = scene;
  const first = await client.open("session", EMPTY);
  await client.open("session", EMPTY);
  await assert.rejects(client.open("session", EMPTY), refused);
  first.close();
  await first.closed;
  await settle();
  await client.open("session", EMPTY);
});

Deno.test("a client that wants no more sessions gets none, whoever comes to speak for it later", async () => {
  await using scene = await connected(9);
  const { client } = scene;
  await client.open("session", EMPTY);
  assert.notEqual(await client.request("no-more-sessions@openssh.com", EMPTY, true), false);
  await assert.rejects(client.open("session", EMPTY), refused);
});

Deno.test("what was not granted is not forwarded", async () => {
  await using scene = await connected(1);
  for (const type of ["direct-tcpip", "direct-streamlocal@openssh.com", "forwarded-tcpip", "x11"]) {
    await assert.rejects(scene.client.open(type, new Uint8Array(64)), { code: "channel-refused" }, type);
  }
  for (const name of ["tcpip-forward", "streamlocal-forward@openssh.com", "tun@openssh.com"]) {
    assert.equal(await scene.client.request(name, new Uint8Array(64), true), false, name);
  }
});
