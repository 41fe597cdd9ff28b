import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonLine, loggable } from "../../src/telemetry/json_line.ts";

Deno.test("values become what JSON holds", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const table: [unknown, unknown][] = [
    ["a", "a"],
    [12n, "12"],
    [NaN, "NaN"],
    [new Uint8Array(5), "<5 bytes>"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), null],
    [new Map([["a", 1]]), { a: 1 }],
    [[undefined, () => 1, null], [null, null, null]],
    [Object.assign(new Error("no", { cause: new TypeError("why") }), { code: "x" }), {
      name: "Error",
      code: "x",
      message: "no",
      cause: { name: "TypeError", message: "why" },
    }],
    [cyclic, { self: { self: { self: { self: { self: { self: "…" } } } } } }],
  ];
  for (const [value, expected] of table) assert.deepEqual(JSON.parse(jsonLine(value)), expected);
});

Deno.test("secrets are left out by the name of their property", () => {
  const names = [
    "password",
    "Passphrase",
    "client_secret",
    "token",
    "access_token",
    "idToken",
    "privateKey",
    "private_key",
    "Authorization",
    "Proxy-Authorization",
    "cookie",
    "Set-Cookie",
  ];
  for (const name of names) {
    assert.equal(jsonLine({ [name]: "hunter2", deep: [{ [name]: 5 }] }).includes("hunter2"), false, name);
  }
  assert.equal(
    jsonLine({ tokenFile: "/run/token", keyId: "k", fingerprint: "SHA256:x" }),
    '{"tokenFile":"/run/token","keyId":"k","fingerprint":"SHA256:x"}',
  );
});

Deno.test("secrets are left out of other text", () => {
  const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl";
  const texts = [
    `user ${jwt} refused`,
    "Bearer abcdefghijklmnop",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nb3BlbnNzaC1rZXk cut off",
  ];
  for (const text of texts) {
    const line = jsonLine({ message: text, error: new Error(text) });
    assert.match(line, /\[redacted\]/);
    assert.doesNotMatch(line, /c2lnbmF0|abcdefgh|b3BlbnNz/);
  }
});

Deno.test("one value is one line of printable text, whatever the peer sent", () => {
  const line = jsonLine({ "user\u001b": "root\n\u001b[2J\u202eevil\u2028\u0085" });
  assert.match(line, /^[\x20-\x7e]*$/);
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true }), (value) => {
      const line = jsonLine(value);
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      JSON.parse(line);
    }),
    { numRuns: 300 },
  );
});

Deno.test("what is long is cut", () => {
  assert(jsonLine("x".repeat(1_000_000)).length < 5000);
  assert.equal((loggable(Array(1000).fill(1)) as unknown[]).length, 100);
});
