/** The web server and clients that take their time: bounds are small here, and real. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { textUntilClose, tlsConnect } from "../support/https_client.ts";
import { deadline, waitUntil } from "../support/wait.ts";
import { webScene } from "./web_scene.ts";

const hello = () => new Response("hello\n");

/** Sends `text` a byte each 20 ms for as long as the peer takes them. */
function trickle(socket: Socket, text: string): () => void {
  let at = 0;
  const timer = setInterval(() => socket.writable && socket.write(text[at++ % text.length]), 20);
  return () => clearInterval(timer);
}

Deno.test("a TLS hello of one byte at a time is cut off", async () => {
  await using scene = await webScene(hello, { bounds: { handshake: 200 } });
  const socket = connect(scene.port, "127.0.0.1");
  const ended = textUntilClose(socket as Parameters<typeof textUntilClose>[0]);
  // A record of 16384 bytes.
  socket.write(new Uint8Array([0x16, 3, 1, 0x40, 0]));
  const stop = trickle(socket, "x");
  await deadline(ended, "the end of the connection");
  stop();
  const [{ stage, error }] = scene.failures;
  assert.equal(stage, "handshake");
  assert.match(error.message, /no TLS handshake within 200 ms/);
});

Deno.test("a client that says nothing after connecting is cut off", async () => {
  await using scene = await webScene(hello, { bounds: { handshake: 100 } });
  const socket = connect(scene.port, "127.0.0.1");
  await deadline(textUntilClose(socket as Parameters<typeof textUntilClose>[0]), "the end");
  await waitUntil("no connection", () => scene.open === 0);
});

Deno.test("a client that is silent after the handshake is cut off", async () => {
  await using scene = await webScene(hello, { bounds: { head: 200 } });
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  assert.match(await deadline(textUntilClose(socket), "the end"), /^HTTP\/1\.1 408 /);
});

Deno.test("a head of one byte at a time is cut off", async (t) => {
  await using scene = await webScene(hello, { bounds: { head: 800 } });
  const slowly = async (before: string) => {
    const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
    const ended = textUntilClose(socket);
    socket.write(`${before}GET / HTTP/1.1\r\nhost: localhost\r\nx: `);
    const stop = trickle(socket, "y");
    const text = await deadline(ended, "the end");
    stop();
    return text;
  };
  await t.step("of the first request", async () => assert.match(await slowly(""), /^HTTP\/1\.1 408 /));
  await t.step("of a later request", async () => {
    const text = await slowly("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert.match(text, /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 408 /);
  });
});

Deno.test("a body of one byte at a time is cut off", async () => {
  await using scene = await webScene(hello, { bounds: { head: 500, request: 800 } });
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const ended = textUntilClose(socket);
  socket.write("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n");
  const stop = trickle(socket, "z");
  await deadline(ended, "the end");
  stop();
  await waitUntil("a record of it", () => scene.failures.length > 0);
});

Deno.test("a connection without a further request is closed", async () => {
  await using scene = await webScene(hello, { bounds: { idle: 200 } });
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const ended = textUntilClose(socket);
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  assert.match(await deadline(ended, "the end"), /^HTTP\/1\.1 200 [^]*hello/);
});

Deno.test("a client that never reads its response is cut off, and memory stays flat", async () => {
  let pulled = 0;
  await using scene = await webScene(() => {
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(pulled++ && 64 * 1024)),
      cancel: () => {},
    }, { highWaterMark: 0 });
    return new Response(body);
  }, { bounds: { idle: 300 } });
  // Node's client reads ahead without bound; this one reads when it is told to.
  const { port } = scene;
  const caCerts = [scene.authority.certificate];
  using connection = await Deno.connectTls({ hostname: "localhost", port, caCerts });
  await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"));
  await waitUntil("the end", () => scene.open === 0);
  // What sockets of the system hold on the way: some megabytes.
  assert.ok(pulled < 400, `${pulled} pieces of 64 KiB`);
  assert.deepEqual(scene.failures.map(({ stage }) => stage), ["request"]);
});

Deno.test("a head beyond its bound is refused", async () => {
  await using scene = await webScene(hello);
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const ended = textUntilClose(socket);
  socket.write(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  assert.match(await ended, /^HTTP\/1\.1 431 /);
});

Deno.test("what is no HTTP is refused", async () => {
  await using scene = await webScene(hello);
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const ended = textUntilClose(socket);
  socket.write("SSH-2.0-lost\r\n");
  assert.match(await ended, /^HTTP\/1\.1 400 /);
});

Deno.test("what is no TLS ends the connection", async () => {
  await using scene = await webScene(hello);
  const socket = connect(scene.port, "127.0.0.1");
  const ended = textUntilClose(socket as Parameters<typeof textUntilClose>[0]);
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await deadline(ended, "the end");
  assert.deepEqual(scene.failures.map(({ stage }) => stage), ["handshake"]);
});

Deno.test("a client that leaves aborts its request", async () => {
  const begun = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  await using scene = await webScene(({ request }) => {
    begun.resolve();
    return new Promise((resolve) =>
      request.signal.addEventListener("abort", () => {
        aborted.resolve();
        resolve(hello());
      })
    );
  });
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await begun.promise;
  socket.destroy();
  await deadline(aborted.promise, "the abort");
});
