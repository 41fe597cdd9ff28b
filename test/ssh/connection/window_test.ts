import assert from "node:assert/strict";
import { INITIAL_WINDOW, MAX_WINDOW, MIN_WINDOW } from "../../../src/ssh/connection/limits.ts";
import { RoundTrip } from "../../../src/ssh/connection/round_trip.ts";
import { ReceiveWindow, SendWindow, WindowBudget } from "../../../src/ssh/connection/window.ts";

/** Lets a sender with this bandwidth (bytes/ms) and round trip (ms) fill windows for a while; the size they settle at. */
function settledSize(bandwidth: number, roundTrip: number, budget = new WindowBudget(1 << 30)): number {
  const window = new ReceiveWindow(budget, budget.take(INITIAL_WINDOW, MIN_WINDOW));
  let now = 0;
  for (let i = 0; i < 200; i++) {
    // Half a window arrives as fast as the line is, or as fast as the window lets it: once a round trip at most.
    const half = Math.ceil(window.size / 2);
    now += Math.max(half / bandwidth, roundTrip / 2);
    window.receive(half);
    window.release(half, now, roundTrip);
  }
  return window.size;
}

Deno.test("a window grows to some four times the bandwidth-delay product and stays there", () => {
  // [bandwidth in bytes/ms, round trip in ms]
  for (const [bandwidth, roundTrip] of [[125_000, 10], [12_500, 100], [125_000, 25]]) {
    const product = bandwidth * roundTrip;
    const size = settledSize(bandwidth, roundTrip);
    assert.ok(size >= 2 * product, `${size} for a product of ${product}`);
    assert.ok(size <= Math.max(INITIAL_WINDOW, 8 * product), `${size} for a product of ${product}`);
  }
});

Deno.test("a window that suffices does not grow, and none grows beyond its bound", () => {
  assert.equal(settledSize(1_000, 1), INITIAL_WINDOW);
  assert.equal(settledSize(10_000_000, 1000), MAX_WINDOW);
});

Deno.test("a window does not grow by the queue that it makes itself", () => {
  const budget = new WindowBudget(1 << 30);
  const window = new ReceiveWindow(budget, budget.take(INITIAL_WINDOW));
  const roundTrip = new RoundTrip();
  const bandwidth = 125_000, way = 1; // bytes/ms, ms: a product of 125 kB
  let now = 0;
  // Ten minutes of a sender that always has more: whatever the window lets it send beyond the product lies in a queue.
  for (let measuredAt = -Infinity; now < 600_000;) {
    const half = Math.ceil(window.size / 2);
    now += half / bandwidth;
    if (now - measuredAt > 10_000) {
      roundTrip.note(measuredAt === -Infinity ? 3 * way : window.size / bandwidth, window.size);
      measuredAt = now;
    }
    window.receive(half);
    window.release(half, now, roundTrip.shortest);
  }
  assert.ok(window.size <= 2 * 1024 * 1024, `${window.size}`);
});

Deno.test("a round trip is the shortest that was measured; a longer way is believed when the line is quiet", () => {
  const roundTrip = new RoundTrip();
  assert.equal(roundTrip.shortest, undefined);
  // [measured in ms, bytes read meanwhile, believed in ms]
  const table = [
    [20, 256e3, 20],
    [400, 256e3, 20],
    [10, 256e3, 10],
    [300, 65537, 10],
    [30, 0, 30],
    [0.1, 256e3, 1],
    [0.2, 256e3, 1],
  ];
  for (const [measured, meanwhile, believed] of table) {
    roundTrip.note(measured, meanwhile);
    assert.equal(roundTrip.shortest, believed);
  }
});

Deno.test("without a measured round trip the window stays as it is", () => {
  const budget = new WindowBudget(1 << 30);
  const window = new ReceiveWindow(budget, budget.take(INITIAL_WINDOW));
  window.receive(INITIAL_WINDOW);
  assert.equal(window.release(INITIAL_WINDOW, 0, undefined), INITIAL_WINDOW);
  assert.equal(window.size, INITIAL_WINDOW);
});

Deno.test("windows of one connection share a budget; each new one gets its least all the same", () => {
  const budget = new WindowBudget(INITIAL_WINDOW + 1000);
  const first = new ReceiveWindow(budget, budget.take(INITIAL_WINDOW, MIN_WINDOW));
  assert.equal(budget.take(INITIAL_WINDOW, MIN_WINDOW), MIN_WINDOW);
  assert.equal(first.release(INITIAL_WINDOW / 2, 1, 1000), INITIAL_WINDOW / 2, "nothing is left to grow by");
  first.free();
});

Deno.test("credit is returned by halves, not for every read", () => {
  const budget = new WindowBudget(1 << 30);
  const window = new ReceiveWindow(budget, 1000);
  window.receive(900);
  assert.equal(window.release(400, 0, undefined), 0);
  assert.equal(window.release(100, 0, undefined), 500);
  assert.equal(window.release(400, 0, undefined), 0);
});

Deno.test("more than was granted is the peer's error", () => {
  const window = new ReceiveWindow(new WindowBudget(1 << 30), 1000);
  window.receive(1000);
  assert.throws(() => window.receive(1), { code: "protocol" });
});

Deno.test("a send window that overflows 2³² − 1 is the peer's error", () => {
  const window = new SendWindow(2 ** 32 - 2);
  window.adjust(1);
  assert.throws(() => window.adjust(1), { code: "protocol" });
});
