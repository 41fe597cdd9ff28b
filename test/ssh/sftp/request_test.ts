import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { MalformedError, Reader } from "../../../src/bytes/reader.ts";
import { FilesError } from "../../../src/platform/files.ts";
import { decodeRequest, encodeRequest, EXTENSIONS, type Request } from "../../../src/ssh/sftp/request.ts";

const handle = new Uint8Array([0, 0, 0, 1]);

/** One of each kind: request with id 5, and its packet without the length. */
const VECTORS: [Request, string][] = [
  [
    { type: "open", path: "/é", flags: 0x1a, attributes: { mode: 0o600 } },
    "03 00000005 00000003 2fc3a9 0000001a 00000004 00000180",
  ],
  [{ type: "close", handle }, "04 00000005 00000004 00000001"],
  [
    { type: "read", handle, offset: 2 ** 40, length: 32768 },
    "05 00000005 00000004 00000001 0000010000000000 00008000",
  ],
  [
    { type: "write", handle, offset: 7, data: encodeText("hi") },
    "06 00000005 00000004 00000001 0000000000000007 00000002 6869",
  ],
  [{ type: "lstat", path: "a" }, "07 00000005 0000000161"],
  [{ type: "fstat", handle }, "08 00000005 00000004 00000001"],
  [
    { type: "setstat", path: "a", attributes: { size: 9 } },
    "09 00000005 0000000161 00000001 0000000000000009",
  ],
  [{ type: "fsetstat", handle, attributes: {} }, "0a 00000005 00000004 00000001 00000000"],
  [{ type: "opendir", path: "." }, "0b 00000005 000000012e"],
  [{ type: "readdir", handle }, "0c 00000005 00000004 00000001"],
  [{ type: "remove", path: "a\nb" }, "0d 00000005 00000003610a62"],
  [{ type: "mkdir", path: "d", attributes: { mode: 0o755 } }, "0e 00000005 0000000164 00000004 000001ed"],
  [{ type: "rmdir", path: "d" }, "0f 00000005 0000000164"],
  [{ type: "realpath", path: "" }, "10 00000005 00000000"],
  [{ type: "stat", path: "a" }, "11 00000005 0000000161"],
  [{ type: "rename", from: "a", to: "b" }, "12 00000005 0000000161 0000000162"],
  [{ type: "readlink", path: "l" }, "13 00000005 000000016c"],
  [{ type: "symlink", target: "t", path: "l" }, "14 00000005 0000000174 000000016c"],
  [
    { type: "posixRename", from: "a", to: "b" },
    extended("posix-rename@openssh.com", "0000000161 0000000162"),
  ],
  [{ type: "statvfs", path: "/" }, extended("statvfs@openssh.com", "000000012f")],
  [{ type: "fstatvfs", handle }, extended("fstatvfs@openssh.com", "00000004 00000001")],
  [{ type: "hardlink", existing: "a", path: "b" }, extended("hardlink@openssh.com", "0000000161 0000000162")],
  [{ type: "fsync", handle }, extended("fsync@openssh.com", "00000004 00000001")],
  [{ type: "lsetstat", path: "l", attributes: {} }, extended("lsetstat@openssh.com", "000000016c 00000000")],
  [{ type: "limits" }, extended("limits@openssh.com", "")],
  [{ type: "expandPath", path: "~" }, extended("expand-path@openssh.com", "000000017e")],
  [
    { type: "copyData", from: handle, fromOffset: 1, length: 2, to: handle, toOffset: 3 },
    extended(
      "copy-data",
      "00000004 00000001 0000000000000001 0000000000000002 00000004 00000001 0000000000000003",
    ),
  ],
  [{ type: "homeDirectory", user: "u" }, extended("home-directory", "0000000175")],
  [
    { type: "namesById", users: decodeHex("00000000"), groups: decodeHex("") },
    extended("users-groups-by-id@openssh.com", "00000004 00000000 00000000"),
  ],
];

function extended(name: string, fields: string): string {
  const length = name.length.toString(16).padStart(8, "0");
  return `c8 00000005 ${length} ${encodeHex(encodeText(name))} ${fields}`;
}

/** Type and id off, then the request. */
function decode(body: Bytes): Request | undefined {
  const reader = new Reader(body);
  const type = reader.byte();
  reader.uint32();
  return decodeRequest(type, reader);
}

for (const [request, hex] of VECTORS) {
  Deno.test(`${request.type} has the wire form of its specification, both ways`, () => {
    const packet = encodeRequest(5, request);
    assert.equal(encodeHex(packet.subarray(4)), hex.replaceAll(" ", ""));
    assert.equal(new DataView(packet.buffer, packet.byteOffset).getUint32(0), packet.length - 4);
    assert.deepEqual(decode(decodeHex(hex)), request);
  });

  Deno.test(`${request.type} cut short anywhere is malformed`, () => {
    const body = decodeHex(hex);
    const complete = body.length;
    for (let length = 5; length < complete; length++) {
      let outcome: unknown;
      try {
        outcome = decode(body.subarray(0, length));
      } catch (error) {
        outcome = error;
      }
      assert.ok(outcome instanceof MalformedError, `${length} of ${complete} bytes`);
    }
  });

  Deno.test(`${request.type} with any bit flipped is a request, unknown, malformed or badly named`, () => {
    const body = decodeHex(hex);
    for (let bit = 0; bit < 8 * body.length; bit++) {
      const flipped = body.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      try {
        decode(flipped);
      } catch (error) {
        assert.ok(error instanceof MalformedError || error instanceof FilesError, String(error));
      }
    }
  });
}

Deno.test("the table of vectors has every extension", () => {
  const types = new Set<string>(VECTORS.map(([{ type }]) => type));
  assert.deepEqual(Object.keys(EXTENSIONS).filter((type) => !types.has(type)), []);
  assert.equal(types.size, VECTORS.length);
});

Deno.test("types and extensions that nobody specified are no request", () => {
  assert.equal(decode(decodeHex("15 00000005")), undefined);
  assert.equal(decode(decodeHex(extended("nobody@example.com", "0102"))), undefined);
});

for (const [what, hex] of [["that is not UTF-8", "00000002ff61"], ["with a NUL", "00000003610062"]]) {
  Deno.test(`a name ${what} is invalid, which is no fault of the packet`, () => {
    assert.throws(
      () => decode(decodeHex(`11 00000005 ${hex}`)),
      (error) => error instanceof FilesError && error.code === "invalid",
    );
  });
}

Deno.test("what follows the last field is ignored, as OpenSSH does", () => {
  assert.deepEqual(decode(decodeHex("0f 00000005 0000000164 ffff")), { type: "rmdir", path: "d" });
});

Deno.test("random writes come back as they were", () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => new Uint8Array(array));
  fc.assert(fc.property(bytes, fc.maxSafeNat(), bytes, (handle, offset, data) => {
    const request: Request = { type: "write", handle, offset, data };
    assert.deepEqual(decode(encodeRequest(1, request).slice(4)), request);
  }));
});
