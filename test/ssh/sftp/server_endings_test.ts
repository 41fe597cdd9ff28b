import assert from "node:assert/strict";
import { type Bytes, concat, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex } from "../../../src/bytes/encoding.ts";
import type { Files } from "../../../src/platform/files.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { MAX_DATA, OpenFlag } from "../../../src/ssh/sftp/protocol.ts";
import { initPacket } from "../../../src/ssh/sftp/reply.ts";
import { encodeRequest, type Request } from "../../../src/ssh/sftp/request.ts";
import { MAX_BYTES_IN_FLIGHT, serveSftp } from "../../../src/ssh/sftp/server.ts";
import type { PlainDuplex } from "../../../src/streams/duplex.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { instead, MemoryFiles, oneAccount } from "./memory_files.ts";
import { Peer, started } from "./server_peer.ts";

const isProtocolError = (error: unknown) => error instanceof SshError && error.code === "protocol";
const { read, write } = OpenFlag;

const MALFORMED: [string, Bytes][] = [
  ["a request before INIT", encodeRequest(1, { type: "limits" })],
  ["a second INIT", concat(initPacket(), initPacket())],
  ["an INIT without a version", decodeHex("00000001 01")],
  ["a length of zero", concat(initPacket(), decodeHex("00000000"))],
  ["a length above the cap", concat(initPacket(), decodeHex("00040001 05"))],
  ["a packet without an id", concat(initPacket(), decodeHex("00000002 0500"))],
  [
    "a string beyond its packet",
    concat(initPacket(), decodeHex("00000009 11 00000001 00000005"), encodeText("1234")),
  ],
  ["an end within a packet", concat(initPacket(), decodeHex("00000009 11"))],
];

for (const [what, stream] of MALFORMED) {
  Deno.test(`${what} ends the session as a protocol error`, async () => {
    const peer = new Peer(new MemoryFiles());
    await peer.stream.write(stream);
    await peer.stream.closeWrite();
    await assert.rejects(peer.served, isProtocolError);
  });
}

/** A session that opens, reads, writes and lists. */
const SESSION = concat(
  initPacket(),
  ...([
    { type: "open", path: "f", flags: read | write, attributes: {} },
    { type: "opendir", path: "." },
    { type: "read", handle: decodeHex("00000000"), offset: 0, length: 3 },
    { type: "write", handle: decodeHex("00000000"), offset: 1, data: encodeText("x") },
    { type: "readdir", handle: decodeHex("00000001") },
    { type: "posixRename", from: "f", to: "h" },
    { type: "limits" },
  ] as Request[]).map((request, id) => encodeRequest(id, request)),
);

/** Plays `stream` to a server and reads whatever it answers. The server must settle, with every handle closed. */
async function play(stream: Bytes, ending: (near: PlainDuplex) => void | Promise<void>): Promise<void> {
  const files = new MemoryFiles({ "/home/f": "f" });
  const [near, far] = duplexPair();
  const served = serveSftp(far, { files, accounts: oneAccount, home: "/home" }).then(
    () => undefined,
    (e) => e,
  );
  const reading = (async () => {
    const sink = new Uint8Array(4096);
    while (await near.read(sink) !== null);
  })().catch(() => {});
  await near.write(stream);
  await ending(near);
  const error = await served;
  near.close();
  await reading;
  assert.ok(error === undefined || isProtocolError(error) || error.message === "cut", String(error));
  assert.equal(files.openHandles, 0);
}

Deno.test("a session cut off anywhere, by an end or a break, leaves no handle open", async () => {
  for (let length = 0; length <= SESSION.length; length++) {
    await play(SESSION.subarray(0, length), (near) => near.closeWrite());
    await play(SESSION.subarray(0, length), (near) => near.close(new Error("cut")));
  }
});

Deno.test("a session with any bit flipped ends, and leaves no handle open", async () => {
  for (let bit = 0; bit < 8 * SESSION.length; bit++) {
    const flipped = SESSION.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    await play(flipped, (near) => near.closeWrite());
  }
});

Deno.test("the signal ends a session that is waiting, and closes what it has open", async () => {
  const files = new MemoryFiles({ "/home/f": "f" });
  const controller = new AbortController();
  const peer = await started(files, { signal: controller.signal });
  await peer.open("f", read);
  assert.equal(files.openHandles, 1);
  controller.abort(new Error("drained"));
  await assert.rejects(peer.served, /drained/);
  assert.equal(files.openHandles, 0);
});

Deno.test("a signal that has fired already ends the session before it begins", async () => {
  const peer = new Peer(new MemoryFiles(), { signal: AbortSignal.abort(new Error("too late")) });
  await assert.rejects(peer.served, /too late/);
});

Deno.test("a peer that asks and never reads costs a bounded amount of memory", async () => {
  const files = new MemoryFiles();
  files.nodes.set("/home/big", { id: 99, mode: 0o100644, content: new Uint8Array(MAX_DATA) });
  let reads = 0;
  const counting = instead<Files, "open">(files, "open", async (path, options) => {
    const file = await files.open(path, options);
    return instead(file, "read", (into, at) => {
      reads++;
      return file.read(into, at);
    });
  });
  const peer = await started(counting);
  const handle = await peer.open("big", read);
  let sent = 0;
  let done = false;
  const asking = (async () => {
    for (; sent < 100_000; sent++) await peer.send({ type: "read", handle, offset: 0, length: MAX_DATA });
  })().catch(() => {}).then(() => done = true);
  // Until nothing moves any more: the writer waits for the server, and the server for us.
  for (let before = -1; before !== sent;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(!done);
  assert.ok(reads * MAX_DATA <= MAX_BYTES_IN_FLIGHT, `${reads} replies in memory`);
  peer.stream.close(new Error("gone"));
  await asking;
  await assert.rejects(peer.served, /gone/);
  assert.equal(files.openHandles, 0);
});

Deno.test("a copy without end stops when the peer goes", async () => {
  const files = new MemoryFiles({ "/home/a": "x", "/home/b": "" });
  let steps = 0;
  const endless = instead<Files, "open">(files, "open", async (path, options) => {
    const file = await files.open(path, options);
    const reading = instead(file, "read", (into) => {
      steps++;
      return new Promise((resolve) => setTimeout(() => resolve(into.length), 0));
    });
    return instead(reading, "write", () => Promise.resolve());
  });
  const peer = await started(endless);
  const from = await peer.open("a", read);
  const to = await peer.open("b", write);
  await peer.send({ type: "copyData", from, fromOffset: 0, length: 0, to, toOffset: 0 });
  await peer.stream.closeWrite();
  await peer.served;
  assert.ok(steps < 100);
  assert.equal(files.openHandles, 0);
});
