import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Bytes, concat, decodeText, encodeText, randomBytes } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { systemAccounts, systemFiles } from "../../../src/deno/files.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { openSftp, type SftpClient } from "../../../src/ssh/sftp/client.ts";
import { packet, PacketReader } from "../../../src/ssh/sftp/packet.ts";
import { MAX_DATA, PORTABLE_DATA, Status } from "../../../src/ssh/sftp/protocol.ts";
import {
  attributesReply,
  dataReply,
  handleReply,
  nameReply,
  statusReply,
  versionPacket,
} from "../../../src/ssh/sftp/reply.ts";
import { decodeRequest, type Request } from "../../../src/ssh/sftp/request.ts";
import { serveSftp, type SftpServerOptions } from "../../../src/ssh/sftp/server.ts";
import { SftpError } from "../../../src/ssh/sftp/status.ts";
import type { PlainDuplex } from "../../../src/streams/duplex.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { type Folder, temporaryFolder } from "../../support/folder.ts";

const hasStatus = (status: number) => (error: unknown) =>
  error instanceof SftpError && error.status === status;
const hasCode = (code: string) => (error: unknown) => error instanceof SshError && error.code === code;

async function* once(...parts: Bytes[]): AsyncGenerator<Bytes> {
  yield* parts;
  await Promise.resolve();
}

async function collect(stream: ReadableStream<Bytes>): Promise<Bytes> {
  const parts: Bytes[] = [];
  for await (const part of stream) parts.push(part);
  return concat(...parts);
}

/** Runs `use` with a client of our server, which begins in a temporary folder. */
async function withServer(
  use: (sftp: SftpClient, folder: Folder) => Promise<void>,
  options: Partial<SftpServerOptions> = {},
): Promise<void> {
  using folder = temporaryFolder();
  const [near, far] = duplexPair();
  const home = folder.path;
  const served = serveSftp(far, { files: systemFiles, accounts: systemAccounts, home, ...options });
  served.catch(() => {});
  try {
    await using sftp = await openSftp(near);
    await use(sftp, folder);
  } finally {
    await assert.rejects(served, hasCode("closed"));
  }
}

Deno.test("a large file comes back as it went, through many requests at once", () =>
  withServer(async (sftp, folder) => {
    const content = concat(...Array.from({ length: 20 }, () => randomBytes(400_000)));
    const parts = Array.from({ length: 33 }, (_, i) => content.subarray(i * 250_000, (i + 1) * 250_000));
    assert.equal(await sftp.upload("big", once(...parts), { mode: 0o600 }), content.length);
    const hash = (bytes: Bytes) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(hash(Deno.readFileSync(folder.at("big"))), hash(content));
    assert.equal(hash(await collect(sftp.download("big"))), hash(content));
    assert.equal((await sftp.stat("big")).mode, 0o100600);
  }));

Deno.test("transfers resume where they are told", () =>
  withServer(async (sftp, folder) => {
    folder.write("f", "0123456789");
    assert.equal(decodeText(await collect(sftp.download("f", { offset: 4 }))), "456789");
    assert.equal(decodeText(await collect(sftp.download("f", { offset: 4, length: 3 }))), "456");
    assert.equal(decodeText(await collect(sftp.download("f", { offset: 10 }))), "");
    await sftp.upload("f", once(encodeText("abc")), { offset: 8 });
    assert.equal(folder.read("f"), "01234567abc");
    await sftp.upload("f", once(encodeText("new")));
    assert.equal(folder.read("f"), "new");
    await assert.rejects(sftp.upload("f", once(), { exclusive: true }), hasStatus(Status.failure));
  }));

Deno.test("files without a size in advance are read to their end", () =>
  withServer(async (sftp) => {
    const text = decodeText(await collect(sftp.download("/proc/self/status")));
    assert.match(text, /^Name:[^]*\n$/);
  }));

Deno.test("directories, links and names of every kind", () =>
  withServer(async (sftp, folder) => {
    assert.equal(await sftp.realpath("."), folder.path);
    await sftp.mkdir("d", { mode: 0o750 });
    assert.equal((await sftp.stat("d")).mode, 0o040750);
    const names = ["ünï", "new\nline", "-r", "a b", ...Array.from({ length: 250 }, (_, i) => `file${i}`)];
    for (const name of names) await sftp.upload(`d/${name}`, once());
    const listed = await Array.fromAsync(sftp.list("d"), ({ name }) => name);
    assert.deepEqual(listed.sort(), names.sort());
    await sftp.symlink("d/ünï", "l");
    assert.equal(await sftp.readlink("l"), "d/ünï");
    assert.equal((await sftp.lstat("l")).mode! & 0o170000, 0o120000);
    assert.equal(await sftp.realpath("l"), folder.at("d/ünï"));
    await sftp.link("d/a b", "hard");
    assert.equal(Deno.statSync(folder.at("hard")).nlink, 2);
    await assert.rejects(sftp.rmdir("d"), hasStatus(Status.failure));
    await assert.rejects(sftp.rename("hard", "d/ünï"), hasStatus(Status.failure));
    await sftp.rename("hard", "d/ünï", { replace: true });
    await sftp.rename("d/ünï", "moved");
    for (const name of names) if (name !== "ünï") await sftp.remove(`d/${name}`);
    await sftp.rmdir("d");
    await assert.rejects(sftp.stat("d"), hasStatus(Status.noSuchFile));
    await assert.rejects(Array.fromAsync(sftp.list("d")), hasStatus(Status.noSuchFile));
  }));

Deno.test("a listing given up early closes its handle", () =>
  withServer(async (sftp, folder) => {
    folder.write("a", "");
    folder.write("b", "");
    for (let i = 0; i < 5; i++) for await (const _ of sftp.list(".")) break;
  }, { maxHandles: 1 }));

Deno.test("attributes and file systems, by path and by handle", () =>
  withServer(async (sftp, folder) => {
    folder.write("f", "0123456789");
    await sftp.symlink("f", "l");
    await sftp.setstat("f", { mode: 0o640, times: { accessed: 11, modified: 22 } });
    await sftp.lsetstat("l", { times: { accessed: 33, modified: 44 } });
    await using file = await sftp.open("f", { read: true, write: true });
    await file.setstat({ size: 5 });
    const { size, mode } = await file.stat();
    assert.deepEqual([size, mode], [5, 0o100640]);
    assert.equal((await sftp.lstat("l")).times?.modified, 44);
    await file.sync();
    const [byPath, byHandle] = [await sftp.statFileSystem("."), await file.statFileSystem()];
    assert.equal(byPath.blocks, byHandle.blocks);
    assert.deepEqual([byPath.readOnly, byPath.maxNameLength], [false, 255]);
  }));

Deno.test("copies on the server, expands home directories, knows names by id", () =>
  withServer(async (sftp, folder) => {
    folder.write("a", "0123456789");
    {
      await using from = await sftp.open("a", { read: true });
      await using to = await sftp.open("b", { write: true, create: true });
      await sftp.copy(from, to, { fromOffset: 2, length: 3 });
      await sftp.copy(from, to, { fromOffset: 7, toOffset: 3 });
    }
    assert.equal(folder.read("b"), "234789");
    assert.equal(await sftp.expandPath("~/a"), folder.at("a"));
    assert.equal(await sftp.homeDirectory("root"), await systemAccounts.home("root"));
    assert.deepEqual(await sftp.names({ users: [0, 4294967294], groups: [] }), {
      users: ["root", ""],
      groups: [],
    });
  }));

Deno.test("a read-only server is told apart by what it says", () =>
  withServer(async (sftp, folder) => {
    folder.write("f", "x");
    assert.equal(decodeText(await collect(sftp.download("f"))), "x");
    await assert.rejects(sftp.upload("f", once(encodeText("y"))), hasStatus(Status.permissionDenied));
    await assert.rejects(sftp.rename("f", "g", { replace: true }), hasStatus(Status.unsupported));
    assert.equal((await sftp.statFileSystem(".")).readOnly, true);
    assert.equal(folder.read("f"), "x");
  }, { readOnly: true }));

Deno.test("a full disk fails the upload with what the server says", () =>
  withServer(async (sftp) => {
    await using file = await sftp.open("/dev/full", { write: true });
    await assert.rejects(file.write(new Uint8Array(10), 0), /No space left/);
    await assert.rejects(sftp.upload("/dev/full", once(new Uint8Array(10))), hasStatus(Status.failure));
  }));

/** A server that answers as `answer` says; packets it returns are sent as they are. */
function scripted(
  answer: (request: Request, id: number) => Bytes[],
  version = versionPacket([]),
): PlainDuplex {
  const [near, far] = duplexPair();
  void (async () => {
    const reader = new PacketReader(far);
    await reader.next();
    await far.write(version);
    for (let body; (body = await reader.next());) {
      const id = new Reader(body, 1).uint32();
      const request = decodeRequest(body[0], new Reader(body, 5))!;
      for (const reply of answer(request, id)) await far.write(reply);
    }
  })().catch(() => {}).finally(() => far.close());
  return near;
}

Deno.test("a server without limits is asked for what every server gives", async () => {
  const lengths: number[] = [];
  const data = new Uint8Array(100_000);
  await using sftp = await openSftp(scripted((request, id) => {
    if (request.type === "open") return [handleReply(id, new Uint8Array(1))];
    if (request.type === "fstat") return [attributesReply(id, { size: data.length })];
    if (request.type !== "read") return [statusReply(id, Status.ok, "")];
    lengths.push(request.length);
    if (request.offset >= data.length) return [statusReply(id, Status.endOfFile, "")];
    // Short, as a server may.
    const count = Math.min(request.length, data.length - request.offset, 20_000);
    return [dataReply(id, new Uint8Array(count + 13), count)];
  }));
  assert.deepEqual(sftp.limits, { read: PORTABLE_DATA, write: PORTABLE_DATA });
  assert.equal((await collect(sftp.download("f"))).length, data.length);
  assert.equal(Math.max(...lengths), PORTABLE_DATA);
});

for (
  const [told, expected] of [
    [[262144, 65536, 1000, 0], { read: 65536, write: 1000, handles: undefined }],
    [[0, 0, 0, 5], { read: PORTABLE_DATA, write: PORTABLE_DATA, handles: 5 }],
    [[2 ** 40, 2 ** 40, 2 ** 40, 2 ** 20], { read: MAX_DATA, write: MAX_DATA, handles: 2 ** 20 }],
  ] as const
) {
  Deno.test(`limits of ${told} are kept, and never above our own`, async () => {
    const writes: number[] = [];
    await using sftp = await openSftp(scripted((request, id) => {
      if (request.type === "limits") {
        return [packet(201, 40, (writer) => {
          writer.uint32(id);
          for (const limit of told) writer.uint64(BigInt(limit));
        })];
      }
      if (request.type === "open") return [handleReply(id, new Uint8Array(1))];
      if (request.type === "write") writes.push(request.data.length);
      return [statusReply(id, Status.ok, "")];
    }, versionPacket([["limits@openssh.com", "1"]])));
    assert.deepEqual(sftp.limits, expected);
    await sftp.upload("f", once(new Uint8Array(600_000)));
    assert.equal(Math.max(...writes), expected.write);
    assert.equal(writes.reduce((sum, length) => sum + length), 600_000);
  });
}

const BROKEN: [string, (request: Request, id: number) => Bytes[]][] = [
  ["a reply to nothing", (_, id) => [statusReply(id + 1, 0, "")]],
  ["a reply of the wrong kind", (_, id) => [handleReply(id, new Uint8Array(1))]],
  ["success where an answer is due", (_, id) => [statusReply(id, 0, "")]],
  ["a request in place of a reply", (_, id) => [packet(3, 9, (writer) => writer.uint32(id))]],
  ["a reply cut short", (_, id) => [packet(105, 9, (writer) => writer.uint32(id).uint32(1))]],
  ["an absurd length", () => [new Uint8Array([255, 255, 255, 255])]],
  ["an empty packet", () => [new Uint8Array(4)]],
];

for (const [what, answer] of BROKEN) {
  Deno.test(`${what} is a protocol error that ends everything outstanding`, async () => {
    await using sftp = await openSftp(
      scripted((request, id) => request.type === "lstat" ? [] : answer(request, id)),
    );
    const other = assert.rejects(sftp.lstat("g"), hasCode("protocol"));
    await assert.rejects(sftp.stat("f"), hasCode("protocol"));
    await other;
    await assert.rejects(sftp.stat("f"), hasCode("protocol"));
  });
}

Deno.test("more data than asked for is refused", async () => {
  await using sftp = await openSftp(scripted((request, id) => {
    if (request.type === "open") return [handleReply(id, new Uint8Array(1))];
    return [request.type === "read" ? dataReply(id, new Uint8Array(40), 20) : statusReply(id, 0, "")];
  }));
  await using file = await sftp.open("f", { read: true });
  await assert.rejects(file.read(0, 10), hasStatus(Status.badMessage));
});

Deno.test("a listing entry with a path of many names or none is refused where one path is due", async () => {
  await using sftp = await openSftp(scripted((_, id) => [nameReply(id, [])]));
  await assert.rejects(sftp.realpath("."), hasStatus(Status.badMessage));
});

Deno.test("whoever does not speak SFTP version 3 is refused", async () => {
  const versions: [Bytes, string][] = [
    [packet(2, 9, (writer) => writer.uint32(2)), "negotiation"],
    [packet(2, 9, () => {}), "protocol"],
    [statusReply(0, 0, ""), "protocol"],
    [encodeText("Welcome to this shell\n"), "protocol"],
  ];
  for (const [version, code] of versions) {
    await assert.rejects(openSftp(scripted(() => [], version)), hasCode(code));
  }
  const [near, far] = duplexPair();
  await far.closeWrite();
  await assert.rejects(openSftp(near), hasCode("connection-lost"));
});

Deno.test("an error at closing fails an upload: the server may have lost data", async () => {
  await using sftp = await openSftp(scripted((request, id) => {
    if (request.type === "open") return [handleReply(id, new Uint8Array(1))];
    return [statusReply(id, request.type === "close" ? Status.failure : Status.ok, "")];
  }));
  await assert.rejects(sftp.upload("f", once(new Uint8Array(10))), hasStatus(Status.failure));
});

Deno.test("a server that goes away in the middle fails a transfer or listing with just that", async () => {
  const vanishing = (last: Request["type"]) =>
    openSftp(scripted((request, id) => {
      if (request.type === last) throw new Error("crash");
      if (request.type === "fstat") return [attributesReply(id, { size: 10 })];
      return [handleReply(id, new Uint8Array(1))];
    }));
  const lost = (error: unknown) => !(error instanceof SuppressedError) && /closed/.test(String(error));
  for (
    const [last, use] of [
      ["read", (sftp: SftpClient) => collect(sftp.download("f"))],
      ["write", (sftp: SftpClient) => sftp.upload("f", once(new Uint8Array(10)))],
      ["readdir", (sftp: SftpClient) => Array.fromAsync(sftp.list("f"))],
    ] as const
  ) {
    await using sftp = await vanishing(last);
    await assert.rejects(() => use(sftp), lost, last);
  }
});

Deno.test("a server that goes away ends what is outstanding, and so does closing", async () => {
  const lost = await openSftp(scripted((_, id) => {
    if (id === 1) throw new Error("crash");
    return [];
  }));
  const waiting = [lost.stat("a"), lost.stat("b")];
  for (const result of await Promise.allSettled(waiting)) assert.equal(result.status, "rejected");
  const silent = await openSftp(scripted(() => []));
  const pending = assert.rejects(silent.stat("a"), hasCode("closed"));
  silent.close();
  await pending;
  await assert.rejects(silent.stat("a"), hasCode("closed"));
});

Deno.test("the signal ends a session, while it begins and later", async () => {
  const controller = new AbortController();
  const sftp = await openSftp(scripted(() => []), { signal: controller.signal });
  const pending = assert.rejects(sftp.stat("a"), /enough/);
  controller.abort(new Error("enough"));
  await pending;
  const starting = new AbortController();
  const opening = assert.rejects(openSftp(duplexPair()[0], { signal: starting.signal }), /never mind/);
  starting.abort(new Error("never mind"));
  await opening;
  await assert.rejects(
    openSftp(duplexPair()[0], { signal: AbortSignal.abort(new Error("before")) }),
    /before/,
  );
});
