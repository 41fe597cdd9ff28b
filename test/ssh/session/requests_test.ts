import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { MalformedError } from "../../../src/bytes/reader.ts";
import {
  breakRequest,
  envRequest,
  exitRequest,
  parseExitRequest,
  ptyRequest,
  textRequest,
  windowChange,
} from "../../../src/ssh/session/requests.ts";
import { encodeTerminalModes, parseTerminalModes } from "../../../src/ssh/session/terminal_modes.ts";

const pty = {
  term: "vt100",
  columns: 80,
  rows: 24,
  widthPixels: 640,
  heightPixels: 480,
  modes: new Map([[53, 1], [129, 38400]]),
};

Deno.test("requests have the encodings of RFC 4254 §6", () => {
  const table: [Bytes, string][] = [
    [textRequest.encode("ls"), "00000002 6c73"],
    [envRequest.encode({ name: "A", value: "bc" }), "00000001 41 00000002 6263"],
    [windowChange.encode(pty), "00000050 00000018 00000280 000001e0"],
    [breakRequest.encode(500), "000001f4"],
    [
      ptyRequest.encode(pty),
      "00000005 7674313030 00000050 00000018 00000280 000001e0 0000000b 35 00000001 81 00009600 00",
    ],
    [exitRequest({ code: 7 }).data, "00000007"],
    [exitRequest({ signal: "TERM", coreDumped: true }).data, "00000004 5445524d 01 00000000 00000000"],
  ];
  for (const [bytes, hex] of table) assert.equal(encodeHex(bytes), hex.replaceAll(" ", ""));
});

Deno.test("every request survives the round trip", () => {
  const word = fc.nat({ max: 0xffffffff });
  const text = fc.string({ unit: "binary" });
  const modes = fc.array(fc.tuple(fc.integer({ min: 1, max: 159 }), word)).map((pairs) => new Map(pairs));
  const size = { columns: word, rows: word, widthPixels: word, heightPixels: word };
  const request = fc.record({ term: text, ...size, modes }, { noNullPrototype: true });
  fc.assert(
    fc.property(request, (pty) => assert.deepEqual(ptyRequest.decode(ptyRequest.encode(pty)), pty)),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.record({ name: text, value: text }, { noNullPrototype: true }), (env) => {
      assert.deepEqual(envRequest.decode(envRequest.encode(env)), env);
    }),
    { numRuns: 50 },
  );
});

Deno.test("every truncation and every extra byte of a pty request is malformed", () => {
  const whole = ptyRequest.encode(pty);
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => ptyRequest.decode(whole.slice(0, length)), MalformedError, `${length}`);
  }
  assert.throws(() => ptyRequest.decode(decodeHex(encodeHex(whole) + "00")), MalformedError);
});

Deno.test("no bit flip in a pty request does anything but decode or be malformed", () => {
  const whole = ptyRequest.encode(pty);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    try {
      ptyRequest.decode(flipped);
    } catch (error) {
      assert.ok(error instanceof MalformedError);
    }
  }
});

Deno.test("terminal modes end at TTY_OP_END, at an undefined opcode, or at the end", () => {
  const table: [string, [number, number][]][] = [
    ["", []],
    ["00", []],
    ["01 00000003 00", [[1, 3]]],
    ["01 00000003", [[1, 3]]],
    ["01 00000003 a0 ffff", [[1, 3]]],
    ["01 00000003 00 02 00000004", [[1, 3]]],
    ["9f 00000001 00", [[159, 1]]],
    ["01 00000003 01 00000004 00", [[1, 4]]],
  ];
  for (const [hex, modes] of table) assert.deepEqual([...parseTerminalModes(decodeHex(hex))], modes, hex);
  assert.throws(() => parseTerminalModes(decodeHex("01 0000")), MalformedError);
  assert.throws(() => encodeTerminalModes(new Map([[160, 0]])), RangeError);
  assert.throws(() => encodeTerminalModes(new Map([[0, 0]])), RangeError);
});

Deno.test("exit requests are read as they are written; signals outside the RFC get OpenSSH's name", () => {
  for (const status of [{ code: 0 }, { code: 255 }, { signal: "KILL", coreDumped: false }]) {
    const { type, data } = exitRequest(status);
    assert.deepEqual(parseExitRequest(type, data), status);
  }
  const { type, data } = exitRequest({ signal: "BUS", coreDumped: true });
  assert.deepEqual(parseExitRequest(type, data), { signal: "SIG@openssh.com", coreDumped: true });
  assert.equal(parseExitRequest("signal", encodeText("x")), undefined);
  assert.throws(() => parseExitRequest("exit-status", encodeText("x")), MalformedError);
});
