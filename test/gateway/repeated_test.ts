import assert from "node:assert/strict";
import { Remembered } from "../../src/gateway/remembered.ts";
import { Repeated } from "../../src/gateway/repeated.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("work that is asked for often runs at once, and once more after a pause", async () => {
  const clock = new FakeClock();
  let runs = 0;
  const work = new Repeated(clock, 500, () => Promise.resolve(void runs++));
  for (let i = 0; i < 10; i++) work.ask();
  assert.equal(runs, 1);
  await clock.advance(499);
  work.ask();
  assert.equal(runs, 1);
  await clock.advance(1);
  assert.equal(runs, 2);
  await clock.advance(5000);
  assert.equal(runs, 2);
  work.ask();
  assert.equal(runs, 3);
  work.stop();
  work.ask();
  await clock.advance(5000);
  assert.deepEqual([runs, clock.pending], [3, 0]);
});

Deno.test("an answer is remembered for its lifetime, until it is forgotten, and a failure never", async () => {
  const clock = new FakeClock();
  let asked = 0;
  const answer = new Remembered(
    clock,
    1000,
    () => ++asked === 3 ? Promise.reject(new Error("no")) : Promise.resolve(asked),
  );
  assert.deepEqual([await answer.value(), await answer.value()], [1, 1]);
  await clock.advance(1000);
  assert.equal(await answer.value(), 2);
  answer.forget();
  await assert.rejects(answer.value());
  assert.equal(await answer.value(), 4);
});
