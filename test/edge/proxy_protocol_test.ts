import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { decodeHex } from "../../src/bytes/encoding.ts";
import { MAX_PROXY_HEADER, ProxyHeaderError, readProxyHeader } from "../../src/edge/proxy_protocol.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const V4 = `${SIGNATURE}2111000cc0000207cb00710530390016`;
const V6 = `${SIGNATURE}21210024${"20010db8".padEnd(31, "0")}7${"20010db8".padEnd(31, "0")}530390016`;

const text = (line: string) => encodeText(line);
const hex = (digits: string) => decodeHex(digits);

/** Header, bytes of it, whose it is. */
const whole: [header: Uint8Array, source: string | undefined][] = [
  [text("PROXY TCP4 192.0.2.7 203.0.113.5 12345 22\r\n"), "192.0.2.7 12345"],
  [text("PROXY TCP6 2001:db8::7 2001:db8::5 12345 22\r\n"), "2001:db8::7 12345"],
  [text("PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 22\r\n"), "192.0.2.7 12345"],
  [text("PROXY UNKNOWN\r\n"), undefined],
  [text(`PROXY UNKNOWN ${"f".repeat(60)}\r\n`), undefined],
  [hex(V4), "192.0.2.7 12345"],
  [hex(V6), "2001:db8::7 12345"],
  // With two extras behind the addresses.
  [hex(V4.replace("000c", "0014") + "0300040102030404"), "192.0.2.7 12345"],
  // The balancer's own health check, and what it knows nothing about.
  [hex(`${SIGNATURE}20000000`), undefined],
  [hex(`${SIGNATURE}2011000cc0000207cb00710530390016`), undefined],
  [hex(`${SIGNATURE}21000000`), undefined],
];

Deno.test("headers of both versions say whose a connection is, and how long they are", () => {
  for (const [header, source] of whole) {
    const behind = new Uint8Array([...header, ...text("SSH-2.0-x\r\n")]);
    const read = readProxyHeader(behind);
    assert.ok(typeof read === "object");
    assert.equal(read.length, header.length);
    assert.equal(read.source && `${read.source.address} ${read.source.port}`, source);
  }
});

Deno.test("less than a header is waited for", () => {
  for (const [header] of whole) {
    for (let length = 0; length < header.length; length++) {
      assert.equal(readProxyHeader(header.subarray(0, length)), "more", `${length}`);
    }
  }
});

Deno.test("what begins as something else is none", () => {
  for (const first of ["SSH-2.0-x\r\n", "\x16\x03\x01", "PROXIES", "proxy TCP4", "\r\nPROXY TCP4"]) {
    assert.equal(readProxyHeader(text(first)), "none", first);
  }
});

Deno.test("what begins as a header and is none is an error", () => {
  const wrong: Uint8Array[] = [
    text("PROXY TCP4 192.0.2.7 203.0.113.5 12345\r\n"),
    text("PROXY TCP4 192.0.2.7 203.0.113.5 12345 22\n"),
    text("PROXY TCP4  192.0.2.7 203.0.113.5 12345 22\r\n"),
    text("PROXY TCP4 192.0.2.7 203.0.113.5 65536 22\r\n"),
    text("PROXY TCP4 192.0.2.007 203.0.113.5 1 22\r\n"),
    text("PROXY TCP4 2001:db8::7 2001:db8::5 1 22\r\n"),
    text("PROXY TCP6 192.0.2.7 203.0.113.5 1 22\r\n"),
    text("PROXY TCP4 web.example 203.0.113.5 1 22\r\n"),
    text("PROXY UNKNOWNS\r\n"),
    text("PROXY UDP4 192.0.2.7 203.0.113.5 1 22\r\n"),
    text(`PROXY UNKNOWN ${"x".repeat(100)}\r\n`),
    text("PROXY ".padEnd(200, "x")),
    hex(V4.replace("2111", "1111")),
    hex(V4.replace("2111", "2211")),
    hex(V4.replace("2111", "2112")),
    hex(V4.replace("2111", "2131")),
    hex(V4.replace("000c", "000b")),
    hex(`${SIGNATURE}2111${(MAX_PROXY_HEADER - 15).toString(16).padStart(4, "0")}`),
  ];
  for (const first of wrong) {
    assert.throws(() => readProxyHeader(first), ProxyHeaderError, new TextDecoder().decode(first));
  }
});

Deno.test("no bit that is flipped makes it longer than what is there, or anything but a header, none or an error", () => {
  for (const [header] of whole) {
    for (let bit = 0; bit < 8 * header.length; bit++) {
      const flipped = header.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      try {
        const read = readProxyHeader(flipped);
        if (typeof read === "object") assert.ok(read.length <= flipped.length);
      } catch (error) {
        assert.ok(error instanceof ProxyHeaderError, `${error}`);
      }
    }
  }
});
