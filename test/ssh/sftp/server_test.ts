import assert from "node:assert/strict";
import { type Bytes, concat, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex } from "../../../src/bytes/encoding.ts";
import { type Files, FilesError, type FilesErrorCode } from "../../../src/platform/files.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { packet, PacketReader } from "../../../src/ssh/sftp/packet.ts";
import { MAX_DATA, OpenFlag, Status } from "../../../src/ssh/sftp/protocol.ts";
import { decodeReply, initPacket, readVersion, type Reply } from "../../../src/ssh/sftp/reply.ts";
import { encodeRequest, EXTENSIONS, type Request } from "../../../src/ssh/sftp/request.ts";
import { MAX_BYTES_IN_FLIGHT, serveSftp, type SftpServerOptions } from "../../../src/ssh/sftp/server.ts";
import type { PlainDuplex } from "../../../src/streams/duplex.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { DISK_SIZE, instead, MemoryFiles, oneAccount } from "./memory_files.ts";

/** A server over memory, and the other end of its connection, packet by packet. */
class Peer {
  readonly stream: PlainDuplex;
  readonly served: Promise<void>;
  readonly #reader: PacketReader;
  #nextId = 0;

  constructor(files: Files, options: Partial<SftpServerOptions> = {}) {
    const [near, far] = duplexPair();
    this.stream = near;
    this.#reader = new PacketReader(near);
    this.served = serveSftp(far, { files, accounts: oneAccount, home: "/home", ...options });
    this.served.catch(() => {}); // awaited where it matters
  }

  async begin(): Promise<Map<string, string>> {
    await this.stream.write(initPacket());
    const body = await this.#reader.next();
    assert.ok(body && body[0] === 2);
    return readVersion(new Reader(body, 1)).extensions;
  }

  async send(request: Request): Promise<number> {
    const id = this.#nextId++;
    await this.stream.write(encodeRequest(id, request));
    return id;
  }

  async receive(): Promise<{ id: number; reply: Reply }> {
    const body = await this.#reader.next();
    assert.ok(body, "the server ended the stream");
    return decodeReply(body);
  }

  /** One request, alone. */
  async ask(request: Request): Promise<Reply> {
    const id = await this.send(request);
    const answer = await this.receive();
    assert.equal(answer.id, id);
    return answer.reply;
  }

  async status(request: Request): Promise<number> {
    const reply = await this.ask(request);
    assert.equal(reply.type, "status");
    return (reply as Extract<Reply, { type: "status" }>).status;
  }

  async open(path: string, flags: number): Promise<Bytes> {
    const reply = await this.ask({ type: "open", path, flags, attributes: {} });
    assert.ok(reply.type === "handle", JSON.stringify(reply));
    return reply.handle.slice();
  }

  /** Ends the session as a client does. */
  async end(): Promise<void> {
    await this.stream.closeWrite();
    await this.served;
  }
}

async function started(files: Files, options: Partial<SftpServerOptions> = {}): Promise<Peer> {
  const peer = new Peer(files, options);
  await peer.begin();
  return peer;
}

const isProtocolError = (error: unknown) => error instanceof SshError && error.code === "protocol";
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
  assert.notEqual(
    await peer.status({ type: "copyData", from, fromOffset: 0, length: 0, to: again, toOffset: 3 }),
    Status.ok,
  );
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
    { type: "read", handle: handle0, offset: 0, length: 3 },
    { type: "write", handle: handle0, offset: 1, data: encodeText("x") },
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
