import assert from "node:assert/strict";
import { afterLong, atTime, LONGEST_NAP } from "../../src/platform/clock.ts";
import { FakeClock } from "../support/fake_clock.ts";

const HOUR = 3_600_000;

Deno.test("a time is reached when the clock says so", async () => {
  const clock = new FakeClock();
  let reached = 0;
  atTime(clock, clock.now() + HOUR, () => reached++);
  await clock.advance(HOUR - 1);
  assert.equal(reached, 0);
  await clock.advance(1);
  assert.equal(reached, 1);
  assert.equal(clock.pending, 0);
});

Deno.test("a time that passed while the machine slept is noticed soon after", async () => {
  const clock = new FakeClock();
  let reached = 0;
  atTime(clock, clock.now() + 16 * HOUR, () => reached++);
  await clock.advance(HOUR);
  clock.jump(20 * HOUR);
  await clock.advance(LONGEST_NAP);
  assert.equal(reached, 1);
});

Deno.test("a clock that is set back delays nothing", async () => {
  const clock = new FakeClock();
  let reached = 0;
  atTime(clock, clock.now() + HOUR, () => reached++);
  clock.jump(-1000 * HOUR);
  await clock.advance(HOUR);
  assert.equal(reached, 1);
});

Deno.test("a time that is past comes at once, and one that was cancelled never", async () => {
  const clock = new FakeClock();
  let reached = 0;
  atTime(clock, clock.now() - HOUR, () => reached++);
  const cancel = atTime(clock, clock.now() + HOUR, () => reached += 10);
  await clock.advance(HOUR / 2);
  cancel();
  await clock.advance(HOUR);
  assert.equal(reached, 1);
  assert.equal(clock.pending, 0);
});

Deno.test("delays beyond what timers take are waited in full", async () => {
  const clock = new FakeClock();
  let ended = 0;
  afterLong(clock, 60 * 24 * HOUR, () => ended++);
  await clock.advance(60 * 24 * HOUR - 1);
  assert.equal(ended, 0);
  await clock.advance(1);
  assert.equal(ended, 1);
});
