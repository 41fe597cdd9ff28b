import assert from "node:assert/strict";
import {
  type DialEvent,
  type DialState,
  FIRST_DIAL,
  FIRST_WAIT_MS,
  LONGEST_WAIT_MS,
  nextDial,
  STABLE_MS,
} from "../../src/agent/dialing.ts";

const highest = () => 1 - Number.EPSILON;

/** Waits and gateways that follow `events`, with chance always at its most. */
function follow(events: readonly DialEvent[], gateways: number): { waits: number[]; at: number[] } {
  let state: DialState = FIRST_DIAL;
  const waits: number[] = [];
  const at: number[] = [];
  for (const event of events) {
    const step = nextDial(state, event, gateways, highest);
    waits.push(step.waitMs);
    at.push(step.state.gateway);
    state = step.state;
  }
  return { waits, at };
}

const failed: DialEvent = { type: "failed" };
const lost = (upMs: number): DialEvent => ({ type: "lost", upMs });
const drained = (upMs: number): DialEvent => ({ type: "drained", upMs });

Deno.test("waits double from half a second to half a minute", () => {
  const { waits } = follow(Array(9).fill(failed), 1);
  assert.deepEqual(waits, [499, 999, 1999, 3999, 7999, 15999, 29999, 29999, 29999]);
});

Deno.test("a wait is anything from nothing to its bound: full jitter", () => {
  for (const [chance, wait] of [[0, 0], [0.25, 125], [0.5, 250], [0.999, 499]]) {
    assert.equal(nextDial(FIRST_DIAL, failed, 1, () => chance).waitMs, wait);
  }
});

Deno.test("within a round gateways are tried in turn without a wait", () => {
  const { waits, at } = follow(Array(6).fill(failed), 3);
  assert.deepEqual(at, [1, 2, 0, 1, 2, 0]);
  assert.deepEqual(waits, [0, 0, 499, 0, 0, 999]);
});

Deno.test("a stable minute makes the next wait a first one", () => {
  const before = Array(6).fill(failed);
  assert.equal(follow([...before, lost(STABLE_MS)], 1).waits.at(-1), FIRST_WAIT_MS - 1);
  assert.equal(follow([...before, lost(STABLE_MS - 1)], 1).waits.at(-1), LONGEST_WAIT_MS - 1);
});

Deno.test("a gateway that was lost is the first to be tried again", () => {
  assert.deepEqual(follow([failed, lost(STABLE_MS), failed], 3).at, [1, 1, 2]);
});

Deno.test("a gateway that drains is left for the next one at once", () => {
  assert.deepEqual(follow([drained(STABLE_MS)], 2), { waits: [0], at: [1] });
  assert.deepEqual(follow([drained(STABLE_MS)], 1), { waits: [FIRST_WAIT_MS - 1], at: [0] });
});

Deno.test("gateways that send an agent to each other make it wait", () => {
  const { waits } = follow(Array(4).fill(drained(10)), 2);
  assert.deepEqual(waits, [0, 999, 1999, 3999]);
});

Deno.test("no wait overflows, however long nobody answers", () => {
  let state = FIRST_DIAL;
  for (let i = 0; i < 5000; i++) ({ state } = nextDial(state, failed, 1, highest));
  assert.equal(nextDial(state, failed, 1, highest).waitMs, LONGEST_WAIT_MS - 1);
});
