/** Requests that two readers could take for different ones: none is read past its first doubt. */
import assert from "node:assert/strict";
import { textUntilClose, tlsConnect } from "../support/https_client.ts";
import { deadline } from "../support/wait.ts";
import { webScene } from "./web_scene.ts";

const host = "host: localhost\r\n";
const smuggled = `GET /smuggled HTTP/1.1\r\n${host}\r\n`;
const length = smuggled.length;

/** What a client sends, before its end. */
const doubtful: [string, string][] = [
  [
    "length and chunks",
    `POST / HTTP/1.1\r\n${host}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "chunks and length",
    `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked\r\ncontent-length: ${
      length + 5
    }\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "two lengths",
    `POST / HTTP/1.1\r\n${host}content-length: 0\r\ncontent-length: ${length}\r\n\r\n${smuggled}`,
  ],
  ["a list of lengths", `POST / HTTP/1.1\r\n${host}content-length: 0, ${length}\r\n\r\n${smuggled}`],
  ["a length with a sign", `POST / HTTP/1.1\r\n${host}content-length: +0\r\n\r\n${smuggled}`],
  ["a length in hexadecimal", `POST / HTTP/1.1\r\n${host}content-length: 0x0\r\n\r\n${smuggled}`],
  ["a space before the colon", `POST / HTTP/1.1\r\n${host}content-length : 0\r\n\r\n${smuggled}`],
  ["an unknown coding", `POST / HTTP/1.1\r\n${host}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
  [
    "chunked that is not the last coding",
    `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "a chunk whose length is none",
    `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n${smuggled}`,
  ],
  [
    "a chunk that ends in a line feed alone",
    `POST / HTTP/1.1\r\n${host}transfer-encoding: chunked\r\n\r\n1\na\n0\n\n${smuggled}`,
  ],
  [
    "a folded header",
    `POST / HTTP/1.1\r\n${host}x: 1\r\n content-length: 0\r\n\tx: y\r\n: z\r\n\r\n${smuggled}`,
  ],
  ["a carriage return within a header", `GET / HTTP/1.1\r\n${host}x: a\rb: c\r\n\r\n${smuggled}`],
  ["a null byte within a header", `GET / HTTP/1.1\r\n${host}x: a\0b\r\n\r\n${smuggled}`],
  ["a header without a name", `GET / HTTP/1.1\r\n${host}: x\r\n\r\n${smuggled}`],
  ["two hosts", `GET / HTTP/1.1\r\n${host}host: elsewhere\r\n\r\n${smuggled}`],
  ["two hosts alike", `GET / HTTP/1.1\r\n${host}${host}\r\n${smuggled}`],
  ["no host", `GET / HTTP/1.1\r\n\r\n${smuggled}`],
  ["HTTP/0.9", `GET /\r\n${smuggled}`],
  ["a version of its own", `GET / HTTP/9.9\r\n${host}\r\n${smuggled}`],
];

for (const [what, text] of doubtful) {
  Deno.test(`a request with ${what} is refused, and nothing behind it is read`, async () => {
    const paths: string[] = [];
    await using scene = await webScene(({ request }) => {
      paths.push(new URL(request.url).pathname);
      return new Response("hello\n");
    }, { bounds: { head: 500, request: 800, idle: 500 } });
    const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
    const ended = textUntilClose(socket);
    socket.write(text);
    const answer = await deadline(ended, "the end of the connection");
    // Once a request's head was read there may be no answer, and never one of the handler's.
    assert.match(answer, /^(HTTP\/1\.1 (400|421|501|505) [^]*)?$/);
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length ?? 0, answer === "" ? 0 : 1);
    assert.deepEqual(paths, []);
  });
}
