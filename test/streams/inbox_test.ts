import assert from "node:assert/strict";
import { EMPTY, encodeText } from "../../src/bytes/bytes.ts";
import { Inbox } from "../../src/streams/inbox.ts";

Deno.test("a delivery of nothing does not look like the end", async () => {
  const inbox = new Inbox(() => {});
  const into = new Uint8Array(8);
  const reading = inbox.read(into);
  inbox.deliver(EMPTY);
  await new Promise((resolve) => setTimeout(resolve, 0));
  inbox.deliver(encodeText("hi"));
  assert.equal(await reading, 2);
  inbox.deliver(EMPTY);
  inbox.end();
  assert.equal(await inbox.read(into), null);
});

Deno.test("what is delivered in one turn is one read, in order, and what does not fit is the next", async () => {
  const counts: number[] = [];
  const inbox = new Inbox((bytes) => counts.push(bytes));
  const into = new Uint8Array(5);
  const reading = inbox.read(into);
  for (const part of ["ab", "cd", "ef", "gh"]) inbox.deliver(encodeText(part));
  assert.equal(inbox.length, 8);
  assert.equal(await reading, 5);
  assert.deepEqual(into, encodeText("abcde"));
  assert.equal(inbox.length, 3);
  assert.equal(await inbox.read(into), 3);
  assert.deepEqual(into.subarray(0, 3), encodeText("fgh"));
  assert.deepEqual(counts, [5, 3]);
});

Deno.test("what came before the end is read, then the end, again and again", async () => {
  const inbox = new Inbox(() => {});
  inbox.deliver(encodeText("last"));
  inbox.end();
  inbox.deliver(encodeText("too late"));
  assert.equal(await inbox.read(new Uint8Array(9)), 4);
  assert.equal(await inbox.read(new Uint8Array(9)), null);
  assert.equal(await inbox.read(new Uint8Array(9)), null);
});

Deno.test("a failure drops what waits, wakes a read and stays", async () => {
  const inbox = new Inbox(() => {});
  const reading = inbox.read(new Uint8Array(9));
  const reason = new Error("gone");
  inbox.fail(reason);
  inbox.fail(new Error("again"));
  await assert.rejects(reading, reason);
  await assert.rejects(inbox.read(new Uint8Array(9)), reason);
  assert.equal(inbox.length, 0);
});

Deno.test("misuse throws: two reads at once, a read into nothing", async () => {
  const inbox = new Inbox(() => {});
  const reading = inbox.read(new Uint8Array(1));
  await assert.rejects(inbox.read(new Uint8Array(1)), TypeError);
  inbox.end();
  assert.equal(await reading, null);
  await assert.rejects(inbox.read(EMPTY), RangeError);
});
