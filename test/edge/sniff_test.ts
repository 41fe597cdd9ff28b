import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeText } from "../../src/bytes/bytes.ts";
import { decodeHex } from "../../src/bytes/encoding.ts";
import { sniff, SNIFF_LENGTH } from "../../src/edge/sniff.ts";

const CASES: readonly (readonly [string, Uint8Array, ReturnType<typeof sniff>])[] = [
  ["SSH", encodeText("SSH-2.0-OpenSSH_9.2p1\r\n"), "ssh"],
  ["a TLS 1.3 hello as OpenSSL sends it", decodeHex("1603010200 010001fc0303"), "tls"],
  ["a hello in a record of version 3.3", decodeHex("16030300f5 010000f10303"), "tls"],
  ["a TLS alert", decodeHex("15030300020100"), "unknown"],
  ["a TLS handshake that is no ClientHello", decodeHex("1603030040 02"), "unknown"],
  ["a record that is too long", decodeHex("160303ffff 01"), "unknown"],
  ["HTTP in clear", encodeText("GET / HTTP/1.1\r\n"), "unknown"],
  ["HTTP/2 in clear", encodeText("PRI * HTTP/2.0\r\n"), "unknown"],
  ["SSH in lower case", encodeText("ssh-2.0-x\r\n"), "unknown"],
  ["PROXY v2", decodeHex("0d0a0d0a000d0a515549540a"), "unknown"],
  ["white space before SSH", encodeText(" SSH-2.0-x"), "unknown"],
];

for (const [name, bytes, expected] of CASES) {
  Deno.test(`${name} is ${expected}, byte by byte`, () => {
    const answers = Array.from(bytes, (_, at) => sniff(bytes.subarray(0, at + 1)));
    assert.equal(answers.at(-1), expected);
    // Once decided it stays so.
    const decided = answers.findIndex((answer) => answer !== "more");
    assert.ok(decided < SNIFF_LENGTH);
    assert.deepEqual([...new Set(answers.slice(decided))], [expected]);
  });
}

Deno.test("nothing yet needs more", () => assert.equal(sniff(new Uint8Array()), "more"));

Deno.test("six bytes of anything are decided", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: SNIFF_LENGTH }), (bytes) => sniff(bytes) !== "more"),
    { numRuns: 300 },
  );
});
