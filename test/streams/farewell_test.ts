import assert from "node:assert/strict";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { denoNet } from "../../src/deno/net.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { TcpAddress } from "../../src/platform/net.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { farewell, LONGEST_FAREWELL_MS } from "../../src/streams/farewell.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const after = systemClock.after;

/** A peer that says `count` times as much as a read asks for, then nothing; and what was read of it. */
function talker(count: number): PlainDuplex & { heard: number } {
  const [near] = duplexPair();
  return Object.assign(near, {
    heard: 0,
    async read(this: { heard: number }, into: Bytes) {
      // A real connection gives the timers their turn.
      await new Promise((resolve) => setTimeout(resolve));
      if (count-- <= 0) return await new Promise<never>(() => {});
      this.heard += into.length;
      return into.length;
    },
  });
}

Deno.test("the last words arrive although the peer's own lie there unread", async () => {
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const arriving = listener[Symbol.asyncIterator]().next();
  const { port } = listener.address as TcpAddress;
  const peer = await Deno.connect({ hostname: "127.0.0.1", port });
  const near = (await arriving).value!;
  // More than anybody has asked for, all of it before the last word.
  await peer.write(new Uint8Array(100_000));
  await near.write(new TextEncoder().encode("you may not"));
  const leaving = farewell(near, after).then(() => near.close());
  await peer.write(new Uint8Array(100_000));
  assert.equal(await new Response(peer.readable).text(), "you may not");
  await leaving;
  listener.close();
});

Deno.test("a read that is under way comes first, and what waits to be sent is waited for", async () => {
  const [near, far] = duplexPair();
  const reading = near.read(new Uint8Array(8));
  let send!: () => void;
  const sent = new Promise<void>((resolve) => send = resolve);
  let left = false;
  const leaving = farewell(near, after, { sent, reading }).then(() => left = true);
  await far.write(new Uint8Array(3));
  await far.closeWrite();
  await settle();
  assert.equal(left, false);
  send();
  await leaving;
  assert.equal(await far.read(new Uint8Array(1)), null);
});

Deno.test("a silent peer has its second, an endless one its share, and a broken one nothing", async () => {
  const clock = new FakeClock();
  let left = 0;
  const silent = farewell(duplexPair()[0], (...args) => clock.after(...args)).then(() => left++);
  await clock.advance(LONGEST_FAREWELL_MS - 1);
  assert.equal(left, 0);
  await clock.advance(1);
  await silent;

  const endless = talker(Infinity);
  await farewell(endless, (...args) => clock.after(...args));
  assert.equal(endless.heard, 8 * 1024 * 1024);

  const [broken, far] = duplexPair();
  far.close();
  await farewell(broken, (...args) => clock.after(...args));
  await farewell(duplexPair()[0], (...args) => clock.after(...args), {
    sent: Promise.reject(new Error("gone")),
  });
  assert.equal(clock.pending, 0);
});

Deno.test("so many are heard out at one time; who comes on top of them does not wait", async () => {
  const clock = new FakeClock();
  const begin = () => farewell(duplexPair()[0], (...args) => clock.after(...args));
  const heard = Array.from({ length: 64 }, begin);
  await begin();
  assert.equal(clock.pending, 64);
  await clock.advance(LONGEST_FAREWELL_MS);
  await Promise.all(heard);
});
