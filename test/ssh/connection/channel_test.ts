import assert from "node:assert/strict";
import { type Bytes, decodeText, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import type { Channel, IncomingChannel } from "../../../src/ssh/connection/types.ts";
import { INITIAL_WINDOW, MAX_PENDING_REQUESTS } from "../../../src/ssh/connection/limits.ts";
import { ChannelOpenError, ChannelOpenReason } from "../../../src/ssh/error.ts";
import { connectPair, type PairOptions } from "../handshake.ts";

/** A channel seen from both sides. */
async function openPair(options: PairOptions = {}) {
  const arrived = Promise.withResolvers<Channel>();
  const pair = await connectPair({
    ...options,
    server: {
      ...options.server,
      prepare: (connection) => connection.onChannel = (incoming) => arrived.resolve(incoming.accept()),
    },
  });
  const near = await pair.client.open("test@ssh-mesh", encodeText("hello"));
  return { ...pair, near, far: await arrived.promise, [Symbol.asyncDispose]: pair[Symbol.asyncDispose] };
}

async function readAll(source: { read(into: Bytes): Promise<number | null> }): Promise<Bytes> {
  const parts: Bytes[] = [];
  const buffer = new Uint8Array(50_000);
  for (let count; (count = await source.read(buffer)) !== null;) parts.push(buffer.slice(0, count));
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function pattern(length: number): Bytes {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

Deno.test("a channel carries bytes both ways and each way ends on its own", async () => {
  await using pair = await openPair();
  const { near, far } = pair;
  const up = pattern(3_000_000);
  const down = pattern(1_000_000);
  const [gotUp, gotDown] = await Promise.all([
    readAll(far),
    (async () => {
      await near.write(up);
      await near.closeWrite();
      return await readAll(near);
    })(),
    (async () => {
      await far.write(down);
      await far.closeWrite();
    })(),
  ]);
  assert.deepEqual(gotUp, up);
  assert.deepEqual(gotDown, down);
});

Deno.test("after the client's end of stream the server still answers", async () => {
  await using pair = await openPair();
  await pair.near.closeWrite();
  assert.equal((await readAll(pair.far)).length, 0);
  await pair.far.write(encodeText("late"));
  await pair.far.closeWrite();
  assert.equal(decodeText(await readAll(pair.near)), "late");
});

Deno.test("standard error stays apart from standard output", async () => {
  await using pair = await openPair();
  await pair.far.write(encodeText("out"));
  await pair.far.stderr.write(encodeText("err"));
  await pair.far.closeWrite();
  const [out, err] = await Promise.all([readAll(pair.near), readAll(pair.near.stderr)]);
  assert.deepEqual([decodeText(out), decodeText(err)], ["out", "err"]);
});

Deno.test("a writer waits when nobody reads, and memory stays within the window", async () => {
  await using pair = await openPair();
  let written = 0;
  const chunk = new Uint8Array(16_384);
  const writing = (async () => {
    for (;;) {
      await pair.near.write(chunk);
      written += chunk.length;
    }
  })().catch(() => {});
  await pair.client.request("barrier", EMPTY, true);
  await pair.client.request("barrier", EMPTY, true);
  assert.ok(written <= INITIAL_WINDOW, `${written} bytes were taken`);
  pair.near.close();
  await writing;
});

Deno.test("a window grows when the reader keeps up", async () => {
  await using pair = await openPair();
  const total = 20_000_000;
  const chunk = new Uint8Array(100_000);
  const writing = (async () => {
    for (let sent = 0; sent < total; sent += chunk.length) await pair.near.write(chunk);
    await pair.near.closeWrite();
  })();
  assert.equal((await readAll(pair.far)).length, total);
  await writing;
});

Deno.test("channels share the connection fairly", async () => {
  const arrived: Channel[] = [];
  await using pair = await connectPair({
    server: { prepare: (c) => c.onChannel = (incoming) => void arrived.push(incoming.accept()) },
  });
  const channels = await Promise.all(Array.from({ length: 4 }, () => pair.client.open("test", EMPTY)));
  const chunk = new Uint8Array(65_536);
  const received = new Array(4).fill(0);
  let done = false;
  const writers = channels.map(async (channel) => {
    while (!done) await channel.write(chunk);
    channel.close();
  });
  const readers = arrived.map(async (channel, i) => {
    const buffer = new Uint8Array(65_536);
    for (let count; (count = await channel.read(buffer)) !== null;) {
      received[i] += count;
      if (received.reduce((a, b) => a + b) > 20_000_000) done = true;
    }
  });
  await Promise.all([...writers, ...readers]);
  const least = Math.min(...received);
  const most = Math.max(...received);
  assert.ok(most < 2 * least, `between ${least} and ${most}`);
});

Deno.test("requests are answered in order, by who is asked", async () => {
  await using pair = await openPair();
  const seen: string[] = [];
  pair.far.onRequest = async ({ type, data }) => {
    if (type === "slow") await new Promise((resolve) => setTimeout(resolve, 5));
    seen.push(`${type}:${decodeText(data)}`);
    return type !== "no";
  };
  const answers = await Promise.all([
    pair.near.request("slow", encodeText("1"), true),
    pair.near.request("no", encodeText("2"), true),
    pair.near.request("yes", encodeText("3"), true),
  ]);
  assert.deepEqual(answers, [true, false, true]);
  assert.deepEqual(seen, ["slow:1", "no:2", "yes:3"]);
  assert.equal(await pair.far.request("nobody listens", EMPTY, true), false);
});

Deno.test("a handler that throws refuses", async () => {
  await using pair = await openPair();
  pair.far.onRequest = () => {
    throw new Error("inside");
  };
  assert.equal(await pair.near.request("x", EMPTY, true), false);
});

Deno.test("a flood of requests that nobody answers ends the connection", async () => {
  await using pair = await openPair();
  pair.far.onRequest = () => new Promise(() => {});
  for (let i = 0; i <= MAX_PENDING_REQUESTS; i++) pair.near.request("x", EMPTY, false);
  assert.match((await pair.server.closed)!.message, /too many unanswered/);
});

Deno.test("both sides' closes end a channel; what waits settles", async () => {
  await using pair = await openPair();
  const { near, far } = pair;
  const reading = near.read(new Uint8Array(10));
  const asking = near.request("never answered", EMPTY, true);
  far.onRequest = () => new Promise(() => {});
  far.close();
  assert.equal(await reading, null);
  await assert.rejects(asking, { code: "closed" });
  await Promise.all([near.closed, far.closed]);
  await assert.rejects(near.write(new Uint8Array(1)), { code: "closed" });
  assert.equal(pair.client.channelCount + pair.server.channelCount, 0);
});

Deno.test("the end of the connection settles everything on its channels", async () => {
  await using pair = await openPair();
  const { near } = pair;
  const reading = near.read(new Uint8Array(10));
  const writing = near.write(new Uint8Array(10 * INITIAL_WINDOW));
  const opening = pair.client.open("another", EMPTY);
  pair.server.onChannel = () => new Promise(() => {});
  pair.server.close(2, "enough");
  await assert.rejects(reading, { code: "disconnected" });
  await assert.rejects(writing);
  await assert.rejects(opening);
  await near.closed;
});

Deno.test("a refused channel says why, in words that a terminal may be shown", async () => {
  const words = ["rule 'none'", "rule\r\n\x1b[2J", "x".repeat(100_000)];
  await using pair = await connectPair({
    server: {
      prepare: (c) =>
        c.onChannel = (incoming) =>
          incoming.reject(ChannelOpenReason.administrativelyProhibited, words.shift()!),
    },
  });
  await assert.rejects(pair.client.open("direct-tcpip", EMPTY), (error) => {
    assert.ok(error instanceof ChannelOpenError);
    assert.equal(error.openReason, ChannelOpenReason.administrativelyProhibited);
    assert.equal(error.message, "rule 'none'");
    return true;
  });
  await assert.rejects(pair.client.open("x", EMPTY), { message: "rule\\u{d}\\u{a}\\u{1b}[2J" });
  await assert.rejects(pair.client.open("x", EMPTY), ({ message }) => message.length < 1000);
  // Nobody takes this type.
  pair.server.onChannel = undefined;
  await assert.rejects(pair.client.open("x", EMPTY), { openReason: ChannelOpenReason.unknownChannelType });
});

Deno.test("an abandoned open is closed when the answer comes", async () => {
  const incoming = Promise.withResolvers<IncomingChannel>();
  await using pair = await connectPair({
    server: {
      prepare: (c) =>
        c.onChannel = (arrived) => {
          incoming.resolve(arrived);
          return new Promise(() => {});
        },
    },
  });
  const controller = new AbortController();
  const opening = pair.client.open("x", EMPTY, { signal: controller.signal });
  const arrived = await incoming.promise;
  controller.abort(new Error("changed my mind"));
  await assert.rejects(opening, /changed my mind/);
  await arrived.accept().closed;
  await pair.client.request("everything before has arrived", EMPTY, true);
  assert.equal(pair.client.channelCount, 0);
});

Deno.test("global requests are answered in order, with data or without", async () => {
  await using pair = await connectPair();
  pair.server.onGlobalRequest = ({ name }) => name === "port" ? encodeText("22") : name === "yes";
  const answers = await Promise.all(
    ["port", "yes", "no"].map((name) => pair.client.request(name, EMPTY, true)),
  );
  assert.deepEqual([decodeText(answers[0] as Bytes), decodeText(answers[1] as Bytes), answers[2]], [
    "22",
    "",
    false,
  ]);
});

Deno.test("requests sent right before CLOSE are handled before the channel counts as closed", async () => {
  await using pair = await openPair();
  const seen: string[] = [];
  pair.near.onRequest = ({ type }) => {
    seen.push(type);
    return true;
  };
  const closed = pair.near.closed.then(() => seen.push("closed"));
  pair.far.request("eow@openssh.com", EMPTY, false);
  pair.far.request("exit-status", EMPTY, false);
  pair.far.close();
  await closed;
  assert.deepEqual(seen, ["eow@openssh.com", "exit-status", "closed"]);
});
