import assert from "node:assert/strict";
import fc from "fast-check";
import {
  keepRenewed,
  LAST_RETRY_MS,
  LONGEST_RENEWAL_MS,
  renewalDelay,
  retryDelay,
  SHORTEST_RENEWAL_MS,
} from "../../src/agent/renewal.ts";
import { FOREVER } from "../../src/cert/certificate.ts";
import { LONGEST_NAP } from "../../src/platform/clock.ts";
import { FakeClock } from "../support/fake_clock.ts";

const NOW = Date.parse("2026-08-01T12:00:00Z");
const until = (ms: number) => ({ validBefore: BigInt(Math.floor((NOW + ms) / 1000)) });

const DELAYS: readonly [what: string, leftMs: number, random: number, delay: number][] = [
  ["a day, the latest", 86_400_000, 0, 57_600_000],
  ["ten minutes, the earliest", 600_000, 0.999999, 360_000],
  ["a second", 1_000, 0, SHORTEST_RENEWAL_MS],
  ["nothing", -1_000, 0, SHORTEST_RENEWAL_MS],
  ["ten years", 315_360_000_000, 0, LONGEST_RENEWAL_MS],
];

for (const [what, left, random, delay] of DELAYS) {
  Deno.test(`renewal with ${what} left`, () => {
    const actual = renewalDelay(until(left), NOW, random);
    assert.ok(Math.abs(actual - delay) <= 1, `${actual}`);
  });
}

Deno.test("what never expires is renewed all the same, within what timers can wait", () => {
  assert.equal(renewalDelay({ validBefore: FOREVER }, NOW, 0.5), LONGEST_RENEWAL_MS);
  assert.ok(LONGEST_RENEWAL_MS < 2 ** 31);
});

Deno.test("retries wait longer each time, up to a bound, and never nothing", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, r) => {
      const wait = retryDelay(n, r);
      return wait >= 2_500 && wait <= LAST_RETRY_MS && retryDelay(n + 1, r) >= wait;
    }),
  );
});

Deno.test("failures back off and are counted in a row; the owner may name another wait", async () => {
  const clock = new FakeClock(NOW);
  const life = new AbortController();
  const told: number[] = [];
  let fails = 3;
  let got = 0;
  const done = keepRenewed({
    clock,
    random: () => 0,
    signal: life.signal,
    obtain: () => fails-- > 0 ? Promise.reject(new Error("away")) : Promise.resolve(until(++got * 1_000_000)),
    onFailure: (_error, failures) => {
      told.push(failures);
      return failures === 3 ? 100_000 : undefined;
    },
  });
  await clock.advance(2_500);
  assert.deepEqual(told, [1, 2]);
  await clock.advance(5_000);
  assert.deepEqual(told, [1, 2, 3]);
  await clock.advance(99_999);
  assert.equal(got, 0);
  await clock.advance(1);
  assert.equal(got, 1);
  life.abort(new Error("the test is over"));
  await done;
  assert.equal(clock.pending, 0);
});

Deno.test("what is outdated is renewed at once, and what asks for that ends with each renewal", async () => {
  const clock = new FakeClock(NOW);
  const life = new AbortController();
  let got = 0;
  const waiting: { wake: () => void; signal: AbortSignal }[] = [];
  const done = keepRenewed({
    clock,
    random: () => 0,
    signal: life.signal,
    obtain: () => Promise.resolve(until(++got * 3_600_000)),
    onFailure: () => undefined,
    outdated: (signal) => new Promise((wake) => void waiting.push({ wake, signal })),
  });
  await clock.advance(1);
  assert.equal(got, 1);
  waiting[0].wake();
  await clock.advance(1);
  assert.deepEqual([got, waiting[0].signal.aborted, waiting[1].signal.aborted], [2, true, false]);
  await clock.advance(2 * 3_600_000);
  assert.equal(got, 3);
  assert.ok(waiting[1].signal.aborted);
  life.abort(new Error("the test is over"));
  await done;
  assert.ok(waiting[2].signal.aborted);
  assert.equal(clock.pending, 0);
});

Deno.test("a machine that slept beyond the end renews soon after", async () => {
  const clock = new FakeClock(NOW);
  const life = new AbortController();
  let got = 0;
  const done = keepRenewed({
    clock,
    random: () => 0,
    signal: life.signal,
    obtain: () => (got++, Promise.resolve({ validBefore: BigInt(Math.floor(clock.now() / 1000) + 86_400) })),
    onFailure: () => undefined,
  });
  await clock.advance(1);
  clock.jump(2 * 86_400_000);
  await clock.advance(LONGEST_NAP);
  assert.equal(got, 2);
  life.abort(new Error("the test is over"));
  await done;
  assert.equal(clock.pending, 0);
});
