import assert from "node:assert/strict";
import fc from "fast-check";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import * as messages from "../../../src/ssh/auth/messages.ts";
import { SshError } from "../../../src/ssh/error.ts";

const blob = new Uint8Array([0, 0, 0, 1, 0x6b]);

// deno-lint-ignore no-explicit-any -- a table of messages of every shape
type Row = readonly [message: messages.Message<any>, values: Record<string, unknown>, hex: string];

/** Every message on the wire. `73 73 68 2d` is `ssh-`. */
const table: readonly Row[] = [
  [messages.ServiceRequest, { service: "ssh-userauth" }, "05 0000000c 7373682d7573657261757468"],
  [messages.ServiceAccept, { service: "ssh-userauth" }, "06 0000000c 7373682d7573657261757468"],
  [
    messages.UserauthRequest,
    { user: "zoë", service: "ssh-connection", method: "none", fields: new Uint8Array(0) },
    "32 00000004 7a6fc3ab 0000000e 7373682d636f6e6e656374696f6e 00000004 6e6f6e65",
  ],
  [
    messages.UserauthRequest,
    { user: "a", service: "s", method: "password", fields: decodeHex("00 00000001 78") },
    "32 00000001 61 00000001 73 00000008 70617373776f7264 00 00000001 78",
  ],
  [
    messages.UserauthFailure,
    { methods: ["publickey", "password"], partial: true },
    "33 00000012 7075626c69636b65792c70617373776f7264 01",
  ],
  [messages.UserauthFailure, { methods: [], partial: false }, "33 00000000 00"],
  [messages.UserauthSuccess, {}, "34"],
  [messages.UserauthBanner, { text: "hi\r\n", language: "en" }, "35 00000004 68690d0a 00000002 656e"],
  [messages.NoneFields, {}, ""],
  [
    messages.PublicKeyQueryFields,
    { signed: false, algorithm: "alg", blob },
    "00 00000003 616c67 00000005 000000016b",
  ],
  [
    messages.PublicKeyFields,
    { signed: true, algorithm: "alg", blob, signature: new Uint8Array([9]) },
    "01 00000003 616c67 00000005 000000016b 00000001 09",
  ],
  [
    messages.HostboundQueryFields,
    { signed: false, algorithm: "alg", blob, hostKey: new Uint8Array([8]) },
    "00 00000003 616c67 00000005 000000016b 00000001 08",
  ],
  [
    messages.HostboundFields,
    { signed: true, algorithm: "alg", blob, hostKey: new Uint8Array([8]), signature: new Uint8Array([9]) },
    "01 00000003 616c67 00000005 000000016b 00000001 08 00000001 09",
  ],
  [messages.PasswordFields, { change: false, password: "pä" }, "00 00000003 70c3a4"],
  [
    messages.PasswordChangeFields,
    { change: true, password: "old", newPassword: "new" },
    "01 00000003 6f6c64 00000003 6e6577",
  ],
  [messages.KeyboardInteractiveFields, { language: "", submethods: "otp" }, "00000000 00000003 6f7470"],
  [messages.UserauthPkOk, { algorithm: "alg", blob }, "3c 00000003 616c67 00000005 000000016b"],
  [messages.PasswordChangeRequest, { prompt: "new?", language: "" }, "3c 00000004 6e65773f 00000000"],
  [
    messages.InfoRequest,
    {
      name: "N",
      instruction: "I",
      language: "",
      prompts: [{ text: "Token: ", echo: false }, { text: "?", echo: true }],
    },
    "3c 00000001 4e 00000001 49 00000000 00000002 00000007 546f6b656e3a20 00 00000001 3f 01",
  ],
  [
    messages.InfoRequest,
    { name: "", instruction: "", language: "", prompts: [] },
    "3c 00000000 00000000 00000000 00000000",
  ],
  [messages.InfoResponse, { answers: ["a", ""] }, "3d 00000002 00000001 61 00000000"],
  [messages.InfoResponse, { answers: [] }, "3d 00000000"],
];

const isProtocolError = (error: unknown) => error instanceof SshError && error.code === "protocol";

for (const [message, values, hex] of table) {
  Deno.test(`${message.label} is ${hex || "nothing"} on the wire, both ways`, () => {
    assert.equal(encodeHex(message.encode(values)), hex.replaceAll(" ", ""));
    assert.deepEqual(message.decode(decodeHex(hex)), values);
  });
}

Deno.test("every truncation of every message is malformed", () => {
  for (const [message, values] of table) {
    // A request's own fields run to the end of the message: cutting those leaves another message, not a broken one.
    const whole = message.encode(
      message === messages.UserauthRequest ? { ...values, fields: new Uint8Array(0) } : values,
    );
    for (let length = 0; length < whole.length; length++) {
      assert.throws(
        () => message.decode(whole.slice(0, length)),
        isProtocolError,
        `${message.label} cut to ${length}`,
      );
    }
  }
});

Deno.test("bytes after the end of any message are malformed", () => {
  for (const [message, values] of table) {
    if (message === messages.UserauthRequest) continue;
    const whole = message.encode(values);
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    assert.throws(() => message.decode(longer), isProtocolError, message.label);
  }
});

Deno.test("every bit flip of every message is read or refused, never worse", () => {
  for (const [message, values] of table) {
    const whole = message.encode(values).slice();
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = whole.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      try {
        message.decode(flipped);
      } catch (error) {
        assert.ok(isProtocolError(error), `${message.label} bit ${bit}: ${error}`);
      }
    }
  }
});

Deno.test("a count beyond the message costs nothing", () => {
  for (const hex of ["3d ffffffff", "3d ffffffff 00000000 00000000"]) {
    assert.throws(() => messages.InfoResponse.decode(decodeHex(hex)), isProtocolError);
  }
});

Deno.test("a user name that is not UTF-8 is malformed; text for people may be anything", () => {
  const request = "32 00000001 ff 00000001 73 00000001 6d";
  assert.throws(() => messages.UserauthRequest.decode(decodeHex(request)), isProtocolError);
  assert.equal(messages.UserauthBanner.decode(decodeHex("35 00000001 ff 00000000")).text, "\ufffd");
});

Deno.test("prompts and answers survive the way there and back", () => {
  const word = fc.string({ unit: "grapheme", maxLength: 20 });
  fc.assert(
    fc.property(
      fc.array(fc.record({ text: word, echo: fc.boolean() }, { noNullPrototype: true })),
      fc.array(word),
      (prompts, answers) => {
        const challenge = { name: "", instruction: "", language: "", prompts };
        assert.deepEqual(messages.InfoRequest.decode(messages.InfoRequest.encode(challenge)), challenge);
        assert.deepEqual(messages.InfoResponse.decode(messages.InfoResponse.encode({ answers })), {
          answers,
        });
      },
    ),
    { numRuns: 50 },
  );
});

/** RFC 4252 §7: session id, then the request as it is sent, without the signature. */
Deno.test("a signature covers the session and the whole request", () => {
  const common = {
    sessionId: decodeHex("aabb"),
    user: "u",
    service: "ssh-connection",
    algorithm: "alg",
    blob,
  };
  const start = "00000002aabb 32 00000001 75 0000000e 7373682d636f6e6e656374696f6e";
  const key = "01 00000003 616c67 00000005 000000016b";
  assertHex(messages.signedData(common), `${start} 00000009 7075626c69636b6579 ${key}`);
  assertHex(
    messages.signedData({ ...common, hostKey: new Uint8Array([8]) }),
    `${start} 00000023 7075626c69636b65792d686f7374626f756e642d763030406f70656e7373682e636f6d ${key} 00000001 08`,
  );
});

function assertHex(bytes: Bytes, hex: string): void {
  assert.equal(encodeHex(bytes), hex.replaceAll(" ", ""));
}
