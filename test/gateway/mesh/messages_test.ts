/** What gateways say to each other, as bytes and as JSON. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { MalformedError } from "../../../src/bytes/reader.ts";
import { readAssertion, writeAssertion } from "../../../src/gateway/mesh/assertion.ts";
import {
  decodeExport,
  decodeMeshChannel,
  encodeExport,
  encodeMeshChannel,
} from "../../../src/gateway/mesh/messages.ts";
import { pathFault } from "../../../src/gateway/mesh/path.ts";
import { anonymous, keyIdentity } from "../../../src/identity/principal.ts";

const id = (letter: string) => `SHA256:${letter.repeat(43)}`;

const ids = fc.constantFrom("a", "b", "c", "d").map(id);
const port = fc.integer({ min: 0, max: 65535 });
const bytes = fc.uint8Array({ maxLength: 64 }).map((content) => new Uint8Array(content));
const word = fc.string({ maxLength: 40, unit: "grapheme" });
const hostPort = fc.record({ host: word, port }, { noNullPrototype: true });

Deno.test("exports and channels come out of their encoding as they went in", () => {
  fc.assert(
    fc.property(
      fc.record({ name: word, port, published: fc.boolean(), path: fc.array(ids, { maxLength: 4 }) }, {
        noNullPrototype: true,
      }),
      (offer) => assert.deepEqual(decodeExport(encodeExport(offer)), offer),
    ),
    { numRuns: 50 },
  );
  const channels = fc.record({
    target: hostPort,
    originator: hostPort,
    path: fc.array(ids, { maxLength: 4 }),
    assertion: word,
    signature: bytes,
  }, { noNullPrototype: true });
  fc.assert(
    fc.property(
      channels,
      (channel) => assert.deepEqual(decodeMeshChannel(encodeMeshChannel(channel)), channel),
    ),
    { numRuns: 50 },
  );
});

Deno.test("every truncation of a channel's data, and a byte too much, is malformed", () => {
  const whole = encodeMeshChannel({
    target: { host: "web", port: 22 },
    originator: { host: "192.0.2.1", port: 1 },
    path: [id("a")],
    assertion: "{}",
    signature: new Uint8Array(8),
  });
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeMeshChannel(whole.slice(0, length)), MalformedError, `${length}`);
  }
  assert.throws(() => decodeMeshChannel(new Uint8Array([...whole, 0])), MalformedError);
});

const faults: [string[], string, RegExp | undefined][] = [
  [[], id("x"), undefined],
  [[id("a"), id("b"), id("c")], id("x"), undefined],
  [[id("a"), id("b"), id("c"), id("d")], id("x"), /more than 4 gateways/],
  [[id("a"), id("x")], id("x"), /back to a gateway/],
];
for (const [path, self, expected] of faults) {
  Deno.test(`a path of ${path.length} gateways ${expected ? "ends" : "goes on"} here`, () => {
    const fault = pathFault(path, self);
    if (expected) assert.match(fault!, expected);
    else assert.equal(fault, undefined);
  });
}

Deno.test("an identity travels whole, and nobody travels as an owner", () => {
  const identity = {
    ...keyIdentity({
      fingerprint: id("a"),
      owner: true,
      expiresAt: 1,
      restrictions: { sourceAddresses: ["10.0.0.0/8"] },
    }),
    claims: { groups: ["web"], nested: { a: [1] } },
    email: "ann@mycorp.com",
  };
  const read = readAssertion(writeAssertion({ identity, source: "10.1.2.3" }))!;
  assert.deepEqual(read, { identity: { ...identity, owner: false }, source: "10.1.2.3" });
});

Deno.test("groups that another gateway's authority vouches for are claims here, and no groups", () => {
  const identity = {
    ...anonymous,
    kind: "ssh-cert",
    groups: ["sre"],
    claims: { principals: ["ann"] },
  } as const;
  const read = readAssertion(writeAssertion({ identity, source: undefined }))!;
  assert.deepEqual(read.identity.groups, []);
  assert.deepEqual(read.identity.claims, { principals: ["ann"], groups: ["sre"] });
});

const noAssertions: [string, (members: Record<string, unknown>) => unknown][] = [
  ["with owner", (members) => ({ ...members, owner: true })],
  ["with another kind", (members) => ({ ...members, kind: "king" })],
  ["without subject", ({ subject: _, ...rest }) => rest],
  ["with a source that is no address", (members) => ({ ...members, source: "here" })],
  ["that is a list", () => []],
  ["that is nothing", () => null],
];
for (const [what, change] of noAssertions) {
  Deno.test(`an assertion ${what} is none`, () => {
    const members = JSON.parse(writeAssertion({ identity: anonymous, source: undefined }));
    assert.equal(readAssertion(JSON.stringify(change(members))), undefined);
    assert.equal(readAssertion("{"), undefined);
  });
}
