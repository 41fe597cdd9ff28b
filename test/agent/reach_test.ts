import assert from "node:assert/strict";
import { addressesWithin, type Reach } from "../../src/agent/reach.ts";
import { parseDialRange } from "../../src/identity/ranges.ts";

const names: Record<string, string[]> = {
  "db.internal": ["10.0.0.7"],
  "mixed": ["127.0.0.1", "10.0.0.7", "192.0.2.1"],
  "metadata": ["169.254.169.254"],
};
let lookups = 0;
const resolver = {
  resolve(host: string) {
    lookups++;
    return Promise.resolve(names[host] ?? [host]);
  },
  ownAddresses: () => ["172.16.0.5", "fe80::1"],
};

async function within(reach: Reach, host: string, port: number): Promise<string[]> {
  return (await addressesWithin(reach, host, port, resolver)).map(({ hostname }) => hostname);
}

const itself: Reach = { itself: true, beyond: [] };
const tenNet: Reach = { itself: false, beyond: [parseDialRange("10.0.0.0/8:5432")] };

Deno.test("a login reaches this machine: loopback, localhost and its own addresses", async () => {
  assert.deepEqual(await within(itself, "127.0.0.1", 80), ["127.0.0.1"]);
  assert.deepEqual(await within(itself, "127.9.9.9", 80), ["127.9.9.9"]);
  assert.deepEqual(await within(itself, "::1", 80), ["::1"]);
  assert.deepEqual(await within(itself, "LOCALHOST", 80), ["127.0.0.1", "::1"]);
  assert.deepEqual(await within(itself, "172.16.0.5", 80), ["172.16.0.5"]);
});

Deno.test("beyond it is out of reach until allowed", async () => {
  for (const host of ["10.0.0.7", "db.internal", "172.16.0.6", "metadata", "0.0.0.0"]) {
    assert.deepEqual(await within(itself, host, 5432), [], host);
  }
});

Deno.test("an allowed range is reached by address and by name, at its ports", async () => {
  assert.deepEqual(await within(tenNet, "10.0.0.7", 5432), ["10.0.0.7"]);
  assert.deepEqual(await within(tenNet, "db.internal", 5432), ["10.0.0.7"]);
  assert.deepEqual(await within(tenNet, "10.0.0.7", 5433), []);
  assert.deepEqual(await within(tenNet, "192.0.2.1", 5432), []);
});

Deno.test("of a name's addresses only those within reach are dialled", async () => {
  assert.deepEqual(await within(tenNet, "mixed", 5432), ["10.0.0.7"]);
  assert.deepEqual(await within({ ...tenNet, itself: true }, "mixed", 5432), ["127.0.0.1", "10.0.0.7"]);
});

Deno.test("everything does not mean this machine, nor its metadata service", async () => {
  const everything: Reach = { itself: false, beyond: [parseDialRange("0.0.0.0/0:1-65535")] };
  for (const host of ["127.0.0.1", "localhost", "metadata", "0.0.0.0"]) {
    assert.deepEqual(await within(everything, host, 80), [], host);
  }
  assert.deepEqual(await within(everything, "192.0.2.1", 80), ["192.0.2.1"]);
  const loopback: Reach = { itself: false, beyond: [parseDialRange("127.0.0.1/32:80")] };
  assert.deepEqual(await within(loopback, "localhost", 80), ["127.0.0.1"]);
});

Deno.test("nothing in reach is not even looked up", async () => {
  const before = lookups;
  assert.deepEqual(await within({ itself: false, beyond: [] }, "db.internal", 80), []);
  assert.equal(lookups, before);
});

Deno.test("a server that behaves as sshd leaves names to the system", async () => {
  assert.deepEqual(await within({ itself: true, beyond: "anywhere" }, "db.internal", 80), ["db.internal"]);
});
