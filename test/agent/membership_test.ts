import assert from "node:assert/strict";
import type { AgentEvent } from "../../src/agent/events.ts";
import { AgentError } from "../../src/agent/exit_codes.ts";
import type { GatewayAddress } from "../../src/agent/gateway_address.ts";
import { type Link, Membership } from "../../src/agent/membership.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** After this long a registration counts as stable, in milliseconds. */
const STABLE = 60_000;

const a: GatewayAddress = { hostname: "a", port: 1 };
const b: GatewayAddress = { hostname: "b", port: 1 };

/** A registration that the test ends. */
class FakeLink implements Link {
  readonly registrations = [];
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #drained = Promise.withResolvers<void>();
  readonly #empty = Promise.withResolvers<void>();
  retiring = false;

  get closed() {
    return this.#closed.promise;
  }
  get drained() {
    return this.#drained.promise;
  }
  lose(reason = "the line is cut") {
    this.#closed.resolve(new Error(reason));
  }
  askToGo() {
    this.#drained.resolve();
  }
  /** The last channel ends. */
  finish() {
    this.#empty.resolve();
  }
  async retire(signal: AbortSignal) {
    this.retiring = true;
    const stopped = Promise.withResolvers<void>();
    if (signal.aborted) stopped.resolve();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    await Promise.race([this.#empty.promise, this.closed, stopped.promise]);
    this.close();
  }
  close() {
    this.#closed.resolve(undefined);
  }
}

function scene(
  gateways: readonly GatewayAddress[],
  answer: (dial: number, gateway: GatewayAddress) => FakeLink,
) {
  const clock = new FakeClock();
  const dials: { name: string; at: number }[] = [];
  const events: AgentEvent[] = [];
  const membership = new Membership<FakeLink>({
    gateways,
    clock,
    random: () => 0.5,
    log: (event) => events.push(event),
    // deno-lint-ignore require-await
    open: async (gateway) => {
      dials.push({ name: gateway.hostname, at: clock.monotonic() });
      return answer(dials.length, gateway);
    },
  });
  return { clock, dials, events, membership };
}

const refuse = (message = "nothing listens there"): never => {
  throw new Error(message);
};

Deno.test("it dials until somebody answers, and then no more", async () => {
  const link = new FakeLink();
  const { clock, dials, membership } = scene([a], (dial) => dial < 4 ? refuse() : link);
  const running = membership.run();
  await clock.advance(60_000);
  assert.deepEqual(dials.map(({ at }) => at), [0, 250, 750, 1750]);
  assert.equal(membership.link, link);
  membership.stop();
  await running;
  assert.equal(clock.pending, 0);
});

Deno.test("a lost registration is made anew, and whoever waits for one gets it", async () => {
  const links = [new FakeLink(), new FakeLink()];
  const { clock, dials, events, membership } = scene([a], (dial) => links[dial - 1]);
  const running = membership.run();
  await clock.advance(STABLE);
  links[0].lose();
  await clock.advance(0);
  assert.equal(membership.link, undefined);
  const waiting = membership.linked(new AbortController().signal);
  await clock.advance(250);
  assert.equal(await waiting, links[1]);
  assert.equal(dials.length, 2);
  assert.deepEqual(events, [{
    event: "disconnected",
    gateway: "a:1",
    reason: "the line is cut",
    retryMs: 250,
  }]);
  membership.stop();
  await running;
});

Deno.test("asked to go elsewhere it dials the next gateway at once and lets what is open finish", async () => {
  const links = [new FakeLink(), new FakeLink()];
  const { clock, dials, membership } = scene([a, b], (dial) => links[dial - 1]);
  const running = membership.run();
  await clock.advance(STABLE);
  links[0].askToGo();
  await clock.advance(0);
  assert.deepEqual(dials.map(({ name }) => name), ["a", "b"]);
  assert.equal(membership.link, links[1]);
  assert.ok(links[0].retiring);
  let over = false;
  links[0].closed.then(() => over = true);
  await clock.advance(0);
  assert.ok(!over, "channels are still open there");
  links[0].finish();
  await clock.advance(0);
  assert.ok(over);
  membership.stop();
  await running;
});

Deno.test("asked to go by its only gateway it comes back after a wait", async () => {
  const links = [new FakeLink(), new FakeLink()];
  const { clock, dials, membership } = scene([a], (dial) => links[dial - 1]);
  const running = membership.run();
  await clock.advance(STABLE);
  links[0].askToGo();
  await clock.advance(249);
  assert.equal(dials.length, 1);
  await clock.advance(1);
  assert.equal(dials.length, 2);
  membership.stop();
  await running;
});

Deno.test("a mistake that no waiting cures ends it before the first registration", async () => {
  const { dials, membership } = scene([a], () => {
    throw new AgentError("hostKey", "another key");
  });
  await assert.rejects(membership.run(), { reason: "hostKey" });
  assert.equal(dials.length, 1);
});

Deno.test("one gateway that may still come is a reason to go on", async () => {
  const link = new FakeLink();
  const { clock, dials, membership } = scene([a, b], (dial, { hostname }) => {
    if (hostname === "a") throw new AgentError("hostKey", "another key");
    return dial < 4 ? refuse() : link;
  });
  const running = membership.run();
  await clock.advance(10_000);
  assert.deepEqual(dials.map(({ name }) => name), ["a", "b", "a", "b"]);
  assert.equal(membership.link, link);
  membership.stop();
  await running;
});

Deno.test("after the first registration nothing ends it: a name may be held for a while by a ghost", async () => {
  const links = [new FakeLink(), new FakeLink()];
  const { clock, dials, membership } = scene([a], (dial) => {
    if (dial === 1) return links[0];
    if (dial === 5) return links[1];
    throw new AgentError("refusedName", "somebody has it");
  });
  const running = membership.run();
  await clock.advance(STABLE);
  links[0].lose();
  await clock.advance(STABLE);
  assert.equal(dials.length, 5);
  assert.equal(membership.link, links[1]);
  membership.stop();
  await running;
});

Deno.test("stopping while it waits, dials or holds leaves nothing behind", async () => {
  for (const answer of [() => refuse(), () => new FakeLink()]) {
    const { clock, membership } = scene([a], answer);
    const running = membership.run();
    await clock.advance(100);
    membership.stop();
    await running;
    assert.equal(clock.pending, 0);
  }
});

Deno.test("draining waits for what is open, and does not dial again", async () => {
  const link = new FakeLink();
  const { clock, dials, events, membership } = scene([a], () => link);
  const running = membership.run();
  await clock.advance(10);
  const drained = membership.drain();
  await clock.advance(5_000);
  assert.equal(dials.length, 1);
  link.finish();
  await drained;
  await running;
  assert.equal(dials.length, 1);
  assert.deepEqual(events, [], "an end that was asked for is no news");
});

Deno.test("who waits for a registration can give up", async () => {
  const { clock, membership } = scene([a], () => refuse());
  const running = membership.run();
  const patience = new AbortController();
  const waiting = membership.linked(patience.signal);
  await clock.advance(100);
  patience.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
  membership.stop();
  await running;
});
