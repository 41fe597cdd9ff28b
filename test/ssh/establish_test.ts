import assert from "node:assert/strict";
import { acceptSsh } from "../../src/ssh/server.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { clientOptions, serverOptions } from "./handshake.ts";

for (
  const [role, start] of [
    ["client", (duplex, signal) => connectSsh(duplex, clientOptions({ signal }))],
    ["server", (duplex, signal) => acceptSsh(duplex, serverOptions({ signal }))],
  ] as const satisfies [
    string,
    (duplex: ReturnType<typeof duplexPair>[0], signal: AbortSignal) => Promise<unknown>,
  ][]
) {
  Deno.test(`a ${role} that is not wanted any more closes the connection it was given`, async () => {
    const [near, far] = duplexPair();
    await assert.rejects(start(near, AbortSignal.abort(new Error("not wanted"))));
    await assert.rejects(async () => {
      while (await far.read(new Uint8Array(100)) !== null);
    });
  });
}
