import assert from "node:assert/strict";
import { EMPTY } from "../../../src/bytes/bytes.ts";
import { keepAlive } from "../../../src/ssh/connection/keepalive.ts";
import type { Connection } from "../../../src/ssh/connection/types.ts";
import type { SshError } from "../../../src/ssh/error.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { connectPair } from "../handshake.ts";

/** The part of a connection that keepalive sees: answers while `alive`. */
function fakeConnection(clock: FakeClock) {
  const closed = Promise.withResolvers<Error | undefined>();
  const state = { alive: true, asked: [] as number[], closedAt: undefined as number | undefined };
  const connection = {
    closed: closed.promise,
    request(name: string) {
      assert.equal(name, "keepalive@openssh.com");
      state.asked.push(clock.monotonic());
      return state.alive ? Promise.resolve(false) : new Promise<never>(() => {});
    },
    close() {
      state.closedAt ??= clock.monotonic();
      closed.resolve(undefined);
    },
  } as unknown as Connection;
  return { connection, state };
}

Deno.test("a peer that answers is asked every interval and left alone", async () => {
  const clock = new FakeClock();
  const { connection, state } = fakeConnection(clock);
  const stop = keepAlive(connection, { clock, intervalMs: 1000, misses: 2 });
  await clock.advance(5500);
  assert.deepEqual(state.asked, [1000, 2000, 3000, 4000, 5000]);
  assert.equal(state.closedAt, undefined);
  stop();
  assert.equal(clock.pending, 0);
});

Deno.test("a peer that falls silent is found within interval × (misses + 1) of its last answer", async () => {
  for (const misses of [1, 2, 3]) {
    for (const silentFrom of [0, 1, 999, 1000, 1500, 4001]) {
      const clock = new FakeClock();
      const { connection, state } = fakeConnection(clock);
      const deaths: SshError[] = [];
      keepAlive(connection, { clock, intervalMs: 1000, misses, onDead: (error) => deaths.push(error) });
      await clock.advance(silentFrom);
      const lastAnswer = state.asked.at(-1) ?? 0;
      state.alive = false;
      await clock.advance(20_000);
      assert.equal(deaths.length, 1);
      assert.equal(deaths[0].code, "timeout");
      const bound = 1000 * (misses + 1);
      assert.ok(
        state.closedAt! - lastAnswer <= bound,
        `${misses} misses: ${state.closedAt! - lastAnswer} ms`,
      );
      assert.equal(clock.pending, 0);
    }
  }
});

Deno.test("an answer that comes late forgives what was missed", async () => {
  const clock = new FakeClock();
  const { connection, state } = fakeConnection(clock);
  keepAlive(connection, { clock, intervalMs: 1000, misses: 2 });
  for (let i = 0; i < 10; i++) {
    state.alive = false;
    await clock.advance(1000);
    state.alive = true;
    await clock.advance(1000);
  }
  assert.equal(state.closedAt, undefined);
  connection.close();
  await settle();
  assert.equal(clock.pending, 0);
});

Deno.test("a real peer refuses the question, and that is an answer", async () => {
  const clock = new FakeClock();
  await using pair = await connectPair();
  const asked: string[] = [];
  pair.server.onGlobalRequest = ({ name }) => {
    asked.push(name);
    return false;
  };
  const stop = keepAlive(pair.client, { clock, intervalMs: 10, misses: 1 });
  for (let i = 0; i < 5; i++) {
    await clock.advance(10);
    await pair.client.request("barrier", EMPTY, true);
  }
  assert.equal(asked.filter((name) => name === "keepalive@openssh.com").length, 5);
  stop();
});

Deno.test("an interval of nothing is a mistake", () => {
  const clock = new FakeClock();
  const { connection } = fakeConnection(clock);
  assert.throws(() => keepAlive(connection, { clock, intervalMs: 0, misses: 1 }), RangeError);
  assert.throws(() => keepAlive(connection, { clock, intervalMs: 10, misses: 0 }), RangeError);
});
