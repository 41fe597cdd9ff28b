import assert from "node:assert/strict";
import { encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex } from "../../../src/bytes/encoding.ts";
import type { Files } from "../../../src/platform/files.ts";
import { MAX_DATA, OpenFlag, Status } from "../../../src/ssh/sftp/protocol.ts";
import type { Reply } from "../../../src/ssh/sftp/reply.ts";
import { EXTENSIONS, type Request } from "../../../src/ssh/sftp/request.ts";
import { DISK_SIZE, instead, MemoryFiles } from "./memory_files.ts";
import { Peer, started } from "./server_peer.ts";

const { read, write, create } = OpenFlag;

Deno.test("VERSION announces every extension with its version", async () => {
  const peer = new Peer(new MemoryFiles());
  const announced = await peer.begin();
  assert.deepEqual(
    announced,
    new Map(Object.values(EXTENSIONS).map(({ extension, version }) => [extension, version])),
  );
  await peer.end();
});

Deno.test("a session that ends before it began ends well", async () => {
  await new Peer(new MemoryFiles()).end();
});

Deno.test("relative paths begin at home, and the empty path is nothing but for REALPATH", async () => {
  const peer = await started(new MemoryFiles({ "/home/f": "abc" }));
  const stat = await peer.ask({ type: "stat", path: "f" });
  assert.ok(stat.type === "attributes");
  assert.equal(stat.attributes.size, 3);
  assert.equal(await peer.status({ type: "stat", path: "" }), Status.noSuchFile);
  for (
    const [path, expected] of [["", "/home"], [".", "/home"], ["f", "/home/f"], ["new", "/home/new"], [
      "/x",
      "/x",
    ]]
  ) {
    const reply = await peer.ask({ type: "realpath", path });
    assert.ok(reply.type === "name");
    assert.equal(reply.entries[0].name, expected);
  }
  assert.equal(await peer.status({ type: "realpath", path: "no/such" }), Status.noSuchFile);
  await peer.end();
});

for (
  const [path, expected] of [["~", "/home"], ["~/f", "/home/f"], ["~alice/g", "/home/g"], ["/home", "/home"]]
) {
  Deno.test(`expand-path makes ${path} ${expected}`, async () => {
    const peer = await started(new MemoryFiles());
    const reply = await peer.ask({ type: "expandPath", path });
    assert.ok(reply.type === "name");
    assert.equal(reply.entries[0].name, expected);
    assert.equal(await peer.status({ type: "expandPath", path: "~nobody" }), Status.noSuchFile);
    await peer.end();
  });
}

Deno.test("a listing begins with . and .., has long names and attributes, and ends with EOF", async () => {
  const peer = await started(new MemoryFiles({ "/home/new\nline": "abc" }));
  const opened = await peer.ask({ type: "opendir", path: "." });
  assert.ok(opened.type === "handle");
  const handle = opened.handle.slice();
  const reply = await peer.ask({ type: "readdir", handle });
  assert.ok(reply.type === "name");
  assert.deepEqual(reply.entries.map(({ name }) => name), [".", "..", "new\nline"]);
  assert.match(reply.entries[2].longName, /^-rw-r--r-- +1 alice +staff +3 Jan /);
  assert.equal(reply.entries[2].attributes.mode, 0o100644);
  assert.equal(await peer.status({ type: "readdir", handle }), Status.endOfFile);
  assert.equal(await peer.status({ type: "read", handle, offset: 0, length: 1 }), Status.failure);
  assert.equal(await peer.status({ type: "close", handle }), Status.ok);
  assert.equal(await peer.status({ type: "readdir", handle }), Status.failure);
  await peer.end();
});

Deno.test("reads and writes sent at once give what they would give one by one", async () => {
  const files = new MemoryFiles();
  // Every write takes longer than the requests behind it take to arrive.
  const slow = instead<Files, "open">(files, "open", async (path, options) => {
    const file = await files.open(path, options);
    return instead(file, "write", async (data, at) => {
      for (let i = 0; i < 50; i++) await Promise.resolve();
      await file.write(data, at);
    });
  });
  const peer = await started(slow);
  const one = await peer.open("f", read | write | create);
  const other = await peer.open("f", read | write);
  const requests: Request[] = [
    { type: "write", handle: one, offset: 0, data: encodeText("aaaa") },
    { type: "write", handle: other, offset: 2, data: encodeText("bbbb") },
    { type: "read", handle: one, offset: 0, length: 10 },
    { type: "fstat", handle: one },
    { type: "stat", path: "f" },
    { type: "close", handle: one },
    { type: "write", handle: one, offset: 0, data: encodeText("late") },
    { type: "remove", path: "f" },
    { type: "stat", path: "f" },
  ];
  const ids: number[] = [];
  for (const request of requests) ids.push(await peer.send(request));
  const replies = new Map<number, Reply>();
  while (replies.size < requests.length) {
    const { id, reply } = await peer.receive();
    replies.set(id, reply);
  }
  const outcome = ids.map((id) => {
    const reply = replies.get(id)!;
    if (reply.type === "data") return new TextDecoder().decode(reply.data);
    if (reply.type === "attributes") return reply.attributes.size;
    return reply.type === "status" ? -reply.status : reply.type;
  });
  assert.deepEqual(outcome, [-0, -0, "aabbbb", 6, 6, -0, -Status.failure, -0, -Status.noSuchFile]);
  await peer.end();
});

Deno.test("a slow read does not hold up other files", async () => {
  const files = new MemoryFiles({ "/home/slow": "s", "/home/fast": "f" });
  let finish!: () => void;
  const gate = new Promise<void>((resolve) => finish = resolve);
  const gated = instead<Files, "open">(files, "open", async (path, options) => {
    const file = await files.open(path, options);
    if (path !== "/home/slow") return file;
    return instead(file, "read", async (into, at) => {
      await gate;
      return await file.read(into, at);
    });
  });
  const peer = await started(gated);
  const [slow, fast] = [await peer.open("slow", read), await peer.open("fast", read)];
  const slowId = await peer.send({ type: "read", handle: slow, offset: 0, length: 1 });
  assert.equal((await peer.ask({ type: "read", handle: fast, offset: 0, length: 1 })).type, "data");
  assert.equal((await peer.ask({ type: "stat", path: "slow" })).type, "attributes");
  finish();
  assert.equal((await peer.receive()).id, slowId);
  await peer.end();
});

Deno.test("appending writes go to the end wherever they say", async () => {
  const files = new MemoryFiles({ "/home/log": "one" });
  const peer = await started(files);
  const handle = await peer.open("log", write | OpenFlag.append);
  const first = await peer.send({ type: "write", handle, offset: 0, data: encodeText(" two") });
  const second = await peer.send({ type: "write", handle, offset: 900, data: encodeText(" three") });
  assert.deepEqual(new Set([(await peer.receive()).id, (await peer.receive()).id]), new Set([first, second]));
  assert.equal(new TextDecoder().decode(files.nodes.get("/home/log")!.content), "one two three");
  await peer.end();
});

Deno.test("a read beyond the cap is answered with what fits, and one beyond the end with EOF", async () => {
  const files = new MemoryFiles();
  files.nodes.set("/home/big", { id: 99, mode: 0o100644, content: new Uint8Array(MAX_DATA + 5).fill(1) });
  const peer = await started(files);
  const handle = await peer.open("big", read);
  const reply = await peer.ask({ type: "read", handle, offset: 0, length: 0xffffffff });
  assert.ok(reply.type === "data");
  assert.equal(reply.data.length, MAX_DATA);
  assert.equal(
    await peer.status({ type: "read", handle, offset: MAX_DATA + 5, length: 1 }),
    Status.endOfFile,
  );
  assert.equal(await peer.status({ type: "read", handle, offset: 2 ** 60, length: 1 }), Status.badMessage);
  await peer.end();
});

Deno.test("a full disk is a failure that says so, and the session goes on", async () => {
  const peer = await started(new MemoryFiles());
  const handle = await peer.open("f", write | create);
  const reply = await peer.ask({ type: "write", handle, offset: DISK_SIZE, data: encodeText("x") });
  assert.deepEqual(reply, { type: "status", status: Status.failure, message: "No space left on device" });
  assert.equal(await peer.status({ type: "write", handle, offset: 0, data: encodeText("x") }), Status.ok);
  await peer.end();
});

Deno.test("copy-data copies a range or to the end, never within one file, and tells when the source is short", async () => {
  const files = new MemoryFiles({ "/home/a": "0123456789", "/home/b": "" });
  const peer = await started(files);
  const from = await peer.open("a", read);
  const to = await peer.open("b", write);
  const copy = (fromOffset: number, length: number, toOffset: number) =>
    peer.status({ type: "copyData", from, fromOffset, length, to, toOffset });
  const content = () => new TextDecoder().decode(files.nodes.get("/home/b")!.content);
  assert.equal(await copy(7, 0, 0), Status.ok);
  assert.equal(content(), "789");
  assert.equal(await copy(0, 2, 3), Status.ok);
  assert.equal(content(), "78901");
  assert.equal(await copy(8, 5, 0), Status.endOfFile);
  const again = await peer.open("a", write);
  assert.equal(
    await peer.status({ type: "copyData", from, fromOffset: 0, length: 2, to: again, toOffset: 3 }),
    Status.badMessage,
  );
  assert.equal(new TextDecoder().decode(files.nodes.get("/home/a")!.content), "0123456789");
  await peer.end();
});

Deno.test("users-groups-by-id names whom it knows and leaves the others empty", async () => {
  const peer = await started(new MemoryFiles());
  const reply = await peer.ask({
    type: "namesById",
    users: decodeHex("00000007 00000001"),
    groups: decodeHex("00000008"),
  });
  assert.ok(reply.type === "extended");
  assert.deepEqual(
    reply.content,
    decodeHex("0000000d 00000005 616c696365 00000000 00000009 00000005 7374616666"),
  );
  const many = new Uint8Array(4 * 3000);
  assert.equal(await peer.status({ type: "namesById", users: many, groups: many }), Status.badMessage);
  await peer.end();
});

Deno.test("limits are told as they are", async () => {
  const peer = await started(new MemoryFiles(), { maxHandles: 3 });
  const reply = await peer.ask({ type: "limits" });
  assert.ok(reply.type === "extended");
  assert.deepEqual(
    reply.content,
    decodeHex("0000000000040000 000000000003fc00 000000000003fc00 0000000000000003"),
  );
  await peer.end();
});

Deno.test("handles are capped, and a closed one makes room", async () => {
  const peer = await started(new MemoryFiles({ "/home/f": "" }), { maxHandles: 2 });
  const first = await peer.open("f", read);
  await peer.open("f", read);
  assert.equal(await peer.status({ type: "opendir", path: "." }), Status.failure);
  assert.equal(await peer.status({ type: "close", handle: first }), Status.ok);
  assert.equal((await peer.ask({ type: "opendir", path: "." })).type, "handle");
  await peer.end();
});
