import assert from "node:assert/strict";
import { Budget } from "../../../src/ssh/sftp/budget.ts";

/** Names of what was admitted, as it is. */
function admissions(budget: Budget, requests: [string, number][]): string[] {
  const admitted: string[] = [];
  for (const [name, bytes] of requests) void budget.acquire(bytes).then(() => admitted.push(name));
  return admitted;
}

const settle = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

Deno.test("requests are admitted up to the count and to the bytes", async () => {
  const admitted = admissions(new Budget(2, 100), [["a", 10], ["b", 10], ["c", 10]]);
  await settle();
  assert.deepEqual(admitted, ["a", "b"]);
  const byBytes = admissions(new Budget(9, 100), [["a", 60], ["b", 40], ["c", 1]]);
  await settle();
  assert.deepEqual(byBytes, ["a", "b"]);
});

Deno.test("whoever waits is served first, even when a later one would fit", async () => {
  const budget = new Budget(9, 100);
  const admitted = admissions(budget, [["a", 60], ["large", 60], ["small", 1]]);
  await settle();
  assert.deepEqual(admitted, ["a"]);
  budget.release(60);
  await settle();
  assert.deepEqual(admitted, ["a", "large", "small"]);
  assert.equal(budget.bytes, 61);
  assert.equal(budget.count, 2);
});

Deno.test("one request above the whole budget runs alone", async () => {
  const budget = new Budget(9, 100);
  const admitted = admissions(budget, [["huge", 500], ["b", 1]]);
  await settle();
  assert.deepEqual(admitted, ["huge"]);
  budget.release(500);
  await settle();
  assert.deepEqual(admitted, ["huge", "b"]);
});
