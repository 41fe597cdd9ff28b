import assert from "node:assert/strict";
import { encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex } from "../../../src/bytes/encoding.ts";
import { type Files, FilesError, type FilesErrorCode } from "../../../src/platform/files.ts";
import { packet } from "../../../src/ssh/sftp/packet.ts";
import { OpenFlag, Status } from "../../../src/ssh/sftp/protocol.ts";
import type { Request } from "../../../src/ssh/sftp/request.ts";
import { instead, MemoryFiles } from "./memory_files.ts";
import { Peer, started } from "./server_peer.ts";

const { read, write, create } = OpenFlag;

const CODES: [FilesErrorCode, number][] = [
  ["not-found", Status.noSuchFile],
  ["not-directory", Status.noSuchFile],
  ["loop", Status.noSuchFile],
  ["permission", Status.permissionDenied],
  ["read-only", Status.permissionDenied],
  ["exists", Status.failure],
  ["no-space", Status.failure],
  ["failed", Status.failure],
  ["invalid", Status.badMessage],
  ["unsupported", Status.unsupported],
];

for (const [code, status] of CODES) {
  Deno.test(`${code} travels as status ${status}, and without the path`, async () => {
    const fail = () => Promise.reject(new FilesError(code, "/secret/path"));
    const peer = await started(instead<Files, "stat">(new MemoryFiles(), "stat", fail));
    const reply = await peer.ask({ type: "stat", path: "f" });
    assert.ok(reply.type === "status");
    assert.equal(reply.status, status);
    assert.ok(reply.message.length > 0 && !reply.message.includes("secret"));
    await peer.end();
  });
}

Deno.test("a fault of the program is heard of here, and the peer only learns that there was one", async () => {
  const faults: [string, unknown][] = [];
  const bug = new TypeError("bug at /secret/path");
  const peer = await started(instead<Files, "stat">(new MemoryFiles(), "stat", () => Promise.reject(bug)), {
    onFault: (...fault) => faults.push(fault),
  });
  assert.deepEqual(await peer.ask({ type: "stat", path: "f" }), {
    type: "status",
    status: Status.failure,
    message: "Failure",
  });
  assert.equal(await peer.status({ type: "rmdir", path: "nowhere" }), Status.noSuchFile);
  assert.deepEqual(faults, [["stat", bug]]);
  await peer.end();
});

const handle0 = new Uint8Array(4);

/** One request for each method of the file system, on a session where handle 0 is `/home/f`, 1 `/home`, 2 `/home/g`. */
const USES: [keyof Files, Request][] = [
  ["open", { type: "open", path: "f", flags: read, attributes: {} }],
  ["stat", { type: "stat", path: "f" }],
  ["change", { type: "setstat", path: "f", attributes: { mode: 0o600 } }],
  ["lchange", { type: "lsetstat", path: "f", attributes: {} }],
  ["list", { type: "opendir", path: "." }],
  ["mkdir", { type: "mkdir", path: "d", attributes: {} }],
  ["rmdir", { type: "rmdir", path: "d" }],
  ["unlink", { type: "remove", path: "f" }],
  ["rename", { type: "rename", from: "f", to: "x" }],
  ["replace", { type: "posixRename", from: "f", to: "x" }],
  ["link", { type: "hardlink", existing: "f", path: "x" }],
  ["symlink", { type: "symlink", target: "f", path: "x" }],
  ["readlink", { type: "readlink", path: "f" }],
  ["realpath", { type: "realpath", path: "." }],
  ["statFileSystem", { type: "statvfs", path: "/" }],
];

for (const [method, request] of USES) {
  Deno.test(`${request.type} answers a status when ${method} fails or throws nonsense, and the session goes on`, async () => {
    for (const [error, status] of [[new FilesError("permission", ""), 3], [new RangeError("bug"), 4]]) {
      const files = new MemoryFiles({ "/home/f": "f" });
      // deno-lint-ignore no-explicit-any
      const peer = await started(instead<Files, any>(files, method, () => Promise.reject(error)));
      assert.equal(await peer.status(request), status);
      assert.equal((await peer.ask({ type: "limits" })).type, "extended");
      await peer.end();
      assert.equal(files.openHandles, 0);
    }
  });
}

for (
  const [method, request] of [
    ["read", { type: "read", handle: handle0, offset: 0, length: 9 }],
    ["write", { type: "write", handle: handle0, offset: 0, data: handle0 }],
    ["change", { type: "fsetstat", handle: handle0, attributes: {} }],
    ["sync", { type: "fsync", handle: handle0 }],
    ["statFileSystem", { type: "fstatvfs", handle: handle0 }],
    ["close", { type: "close", handle: handle0 }],
  ] as const
) {
  Deno.test(`${request.type} answers a status when the handle's ${method} fails, and the session goes on`, async () => {
    const files = new MemoryFiles({ "/home/f": "f" });
    const faulty = instead<Files, "open">(files, "open", async (path, options) => {
      const file = await files.open(path, options);
      return instead(file, method, () => Promise.reject(new FilesError("no-space", "")));
    });
    const peer = await started(faulty);
    await peer.open("f", read | write);
    assert.equal(await peer.status(request), Status.failure);
    assert.equal((await peer.ask({ type: "limits" })).type, "extended");
    await peer.end();
  });
}

Deno.test("every request that takes a handle refuses one that is not open", async () => {
  const peer = await started(new MemoryFiles());
  const handle = decodeHex("deadbeef");
  const requests: Request[] = [
    { type: "close", handle },
    { type: "read", handle, offset: 0, length: 1 },
    { type: "write", handle, offset: 0, data: handle },
    { type: "fstat", handle },
    { type: "fsetstat", handle, attributes: {} },
    { type: "readdir", handle },
    { type: "fstatvfs", handle },
    { type: "fsync", handle },
    { type: "copyData", from: handle, fromOffset: 0, length: 0, to: handle, toOffset: 0 },
  ];
  for (const request of requests) assert.equal(await peer.status(request), Status.failure, request.type);
  await peer.end();
});

Deno.test("a read-only server refuses every change and announces none", async () => {
  const files = new MemoryFiles({ "/home/f": "f" });
  const peer = new Peer(files, { readOnly: true });
  const extensions = await peer.begin();
  assert.deepEqual(
    ["posix-rename@openssh.com", "hardlink@openssh.com", "lsetstat@openssh.com", "copy-data"].filter((name) =>
      extensions.has(name)
    ),
    [],
  );
  const handle = await peer.open("f", read);
  const before = [...files.nodes.keys()];
  const requests: Request[] = [
    ...[write, create | read, OpenFlag.truncate | read, OpenFlag.append].map((flags) => (
      { type: "open", path: "f", flags, attributes: {} } as const
    )),
    { type: "write", handle, offset: 0, data: encodeText("x") },
    { type: "fsetstat", handle, attributes: { size: 0 } },
    { type: "copyData", from: handle, fromOffset: 0, length: 0, to: handle, toOffset: 0 },
    ...USES.map(([, request]) => request).filter(({ type }) =>
      !["open", "stat", "opendir", "readlink", "realpath", "statvfs"].includes(type)
    ),
  ];
  for (const request of requests) {
    assert.equal(await peer.status(request), Status.permissionDenied, request.type);
  }
  assert.deepEqual([...files.nodes.keys()], before);
  assert.equal((await peer.ask({ type: "read", handle, offset: 0, length: 9 })).type, "data");
  await peer.end();
});

Deno.test("requests and extensions nobody knows are unsupported, and the session goes on", async () => {
  const peer = await started(new MemoryFiles());
  for (const type of [0, 2, 21, 99, 101, 199, 255]) {
    await peer.stream.write(packet(type, 16, (writer) => writer.uint32(77)));
    const { id, reply } = await peer.receive();
    assert.equal(id, 77);
    assert.ok(reply.type === "status" && reply.status === Status.unsupported);
  }
  await peer.stream.write(packet(200, 64, (writer) => writer.uint32(78).string("nobody@example.com")));
  const { reply } = await peer.receive();
  assert.ok(reply.type === "status" && reply.status === Status.unsupported);
  await peer.end();
});

Deno.test("a name that is not UTF-8 fails its request alone", async () => {
  const peer = await started(new MemoryFiles());
  await peer.stream.write(packet(17, 16, (writer) => writer.uint32(9).string(decodeHex("ff"))));
  assert.deepEqual(await peer.receive(), {
    id: 9,
    reply: { type: "status", status: Status.badMessage, message: "Invalid argument" },
  });
  await peer.end();
});
