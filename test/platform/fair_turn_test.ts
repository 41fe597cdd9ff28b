import assert from "node:assert/strict";

/** A process with one connection that always has something to say, and one that wants an echo now and then. */
const PROGRAM = `
import { takeFairTurns } from ${JSON.stringify(new URL("../../src/deno/fair_turn.ts", import.meta.url).href)};
import { denoNet } from ${JSON.stringify(new URL("../../src/deno/net.ts", import.meta.url).href)};
takeFairTurns();
const loopback = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
const bulk = await denoNet.listen(loopback);
const echo = await denoNet.listen(loopback);
console.log(JSON.stringify([bulk.address.port, echo.address.port]));
(async () => {
  for await (const connection of echo) {
    const buffer = new Uint8Array(64);
    for (let n; (n = await connection.read(buffer)) !== null;) await connection.write(buffer.subarray(0, n));
  }
})();
for await (const connection of bulk) {
  const buffer = new Uint8Array(512 * 1024);
  for (let n; (n = await connection.read(buffer)) !== null;) {
    for (const end = performance.now() + 0.5; performance.now() < end;);
  }
}
`;

Deno.test("a connection whose bytes are always there does not keep the others waiting", async () => {
  await using server = new Deno.Command(Deno.execPath(), {
    args: ["eval", PROGRAM],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const [bulkPort, echoPort] = JSON.parse((await lines.read()).value!);
  await lines.cancel();
  using bulk = await Deno.connect({ hostname: "127.0.0.1", port: bulkPort });
  using echo = await Deno.connect({ hostname: "127.0.0.1", port: echoPort });
  echo.setNoDelay();

  let done = false;
  const flood = (async () => {
    const chunk = new Uint8Array(1_000_000);
    while (!done) await bulk.write(chunk);
  })();
  const byte = new Uint8Array(1);
  let echoes = 0;
  // Without turns some ten echoes come back in this time, with them some thousand.
  for (const end = performance.now() + 1500; performance.now() < end; echoes++) {
    await echo.write(byte);
    await echo.read(byte);
  }
  done = true;
  await flood;
  server.kill();
  await server.status;
  assert.ok(echoes > 100, `${echoes} echoes`);
});

Deno.test("where the own socket cannot be had, turns are taken without it and nothing stays open", async () => {
  const { takeFairTurns, turnAfter } = await import("../../src/deno/fair_turn.ts");
  const listen = Deno.listen;
  let asked = 0;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    // As when descriptors run out between connecting and accepting.
    listener.accept = () => {
      asked++;
      return Promise.reject(new Error("too many open files"));
    };
    return listener;
  }) as typeof Deno.listen;
  try {
    takeFairTurns();
    const turn = turnAfter(performance.now());
    assert.ok(turn, "nobody else has had one");
    await turn;
    await turnAfter(performance.now());
    assert.equal(asked, 1);
  } finally {
    Deno.listen = listen;
  }
});
