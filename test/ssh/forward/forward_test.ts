import assert from "node:assert/strict";
import { type Bytes, decodeText, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Router } from "../../../src/ssh/connection/router.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import { ChannelOpenError, ChannelOpenReason } from "../../../src/ssh/error.ts";
import {
  type Deliver,
  type ForwardPolicy,
  ForwardRefusal,
  type GrantedListener,
  MAX_LISTENERS,
  serveForwarding,
} from "../../../src/ssh/forward/incoming.ts";
import {
  encodeForwardedStreamLocal,
  encodeHostPort,
  encodePort,
  encodeTcpChannel,
  type HostPort,
} from "../../../src/ssh/forward/messages.ts";
import { openStreamLocal, openTcp, RemoteForwards } from "../../../src/ssh/forward/outgoing.ts";
import type { PlainDuplex } from "../../../src/streams/duplex.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { settle } from "../../support/fake_clock.ts";
import { deadline, waitUntil } from "../../support/wait.ts";
import { connectPair } from "../handshake.ts";

/** Grants everything and opens nothing: remembers who asked and lets a test bring connections in. */
class Listeners implements ForwardPolicy {
  readonly open = new Map<string, Deliver>();
  readonly closed: string[] = [];
  #nextPort = 40_000;

  listenTcp({ host, port }: HostPort, deliver: Deliver): Promise<GrantedListener | undefined> {
    return Promise.resolve(this.#listen(`${host}:${port}`, port || this.#nextPort++, deliver));
  }

  listenStreamLocal(path: string, deliver: Deliver): Promise<GrantedListener | undefined> {
    return Promise.resolve(this.#listen(path, 0, deliver));
  }

  #listen(name: string, port: number, deliver: Deliver): GrantedListener {
    this.open.set(name, deliver);
    const close = () => {
      this.open.delete(name);
      this.closed.push(name);
    };
    return { port, close };
  }
}

async function forwardPair(policy: ForwardPolicy) {
  let forwards!: RemoteForwards;
  const pair = await connectPair({
    server: { prepare: (connection) => serveForwarding(connection, new Router(connection), policy) },
    client: { prepare: (connection) => forwards = new RemoteForwards(connection, new Router(connection)) },
  });
  return { ...pair, forwards, [Symbol.asyncDispose]: pair[Symbol.asyncDispose] };
}

async function readAll(source: PlainDuplex): Promise<string> {
  const buffer = new Uint8Array(1000);
  let text = "";
  for (let count; (count = await source.read(buffer)) !== null;) {
    text += decodeText(buffer.subarray(0, count));
  }
  return text;
}

const from: HostPort = { host: "192.0.2.1", port: 5555 };

Deno.test("a granted port brings connections with their originator, until it is cancelled", async () => {
  const policy = new Listeners();
  await using pair = await forwardPair(policy);
  const seen: (HostPort | undefined)[] = [];
  const listener = await pair.forwards.listenTcp({ host: "web", port: 22 }, ({ originator, accept }) => {
    seen.push(originator);
    accept().write(encodeText("hello")).then(() => {});
  });
  assert.equal(listener.port, 22);
  const channel = await policy.open.get("web:22")!(from);
  assert.equal(await channel.read(new Uint8Array(9)), 5);
  assert.deepEqual(seen, [from]);
  await listener.close();
  await listener.close();
  assert.deepEqual(policy.closed, ["web:22"]);
});

Deno.test("port 0 is answered with a port, under which connections come, also right behind the answer", async () => {
  // Reply and first connection in one packet batch: the client has not seen the port when the channel opens.
  let forwards!: RemoteForwards;
  await using pair = await connectPair({
    client: { prepare: (connection) => forwards = new RemoteForwards(connection, new Router(connection)) },
  });
  const opened = Promise.withResolvers<Channel>();
  pair.server.onGlobalRequest = () => {
    queueMicrotask(() =>
      queueMicrotask(() => {
        const data = encodeTcpChannel({ target: { host: "web", port: 4711 }, originator: from });
        pair.server.open("forwarded-tcpip", data).then(opened.resolve, opened.reject);
      })
    );
    return encodePort(4711);
  };
  const listener = await forwards.listenTcp({ host: "web", port: 0 }, ({ accept }) => void accept());
  assert.equal(listener.port, 4711);
  await deadline(opened.promise, "the first connection");
});

Deno.test("port 0 twice: two ports, each cancelled on its own", async () => {
  const policy = new Listeners();
  await using pair = await forwardPair(policy);
  const first = await pair.forwards.listenTcp({ host: "a", port: 0 }, () => {});
  const second = await pair.forwards.listenTcp({ host: "b", port: 0 }, () => {});
  assert.deepEqual([first.port, second.port], [40_000, 40_001]);
  await second.close();
  assert.deepEqual(policy.closed, ["b:0"]);
  // What is cancelled may be asked for again.
  await pair.forwards.listenTcp({ host: "b", port: 40_001 }, () => {});
});

Deno.test("a policy that answers port 0 with a port that is taken is not left with a listener nobody closes", async () => {
  const closed: number[] = [];
  let grants = 0;
  await using pair = await forwardPair({
    listenTcp: () => {
      const number = grants++;
      return Promise.resolve({ port: 15022, close: () => void closed.push(number) });
    },
  });
  await pair.forwards.listenTcp({ host: "", port: 0 }, () => {});
  await assert.rejects(pair.forwards.listenTcp({ host: "", port: 0 }, () => {}), { code: "request-refused" });
  assert.deepEqual(closed, [1]);
  pair.client.close();
  await pair.server.closed;
  await settle();
  assert.deepEqual(closed, [1, 0]);
});

Deno.test("a peer that does not say which port it chose has broken the protocol", async () => {
  for (const answer of [true, encodePort(0), new Uint8Array([1]), new Uint8Array([0, 1, 0, 0])]) {
    let forwards!: RemoteForwards;
    await using pair = await connectPair({
      client: { prepare: (connection) => forwards = new RemoteForwards(connection, new Router(connection)) },
    });
    pair.server.onGlobalRequest = () => answer as Bytes;
    await assert.rejects(forwards.listenTcp({ host: "x", port: 0 }, () => {}), { code: "protocol" });
  }
});

Deno.test("only the exact address and port that was asked for is accepted back", async () => {
  const policy = new Listeners();
  await using pair = await forwardPair(policy);
  let calls = 0;
  await pair.forwards.listenTcp({ host: "web", port: 22 }, ({ accept }) => {
    calls++;
    accept();
  });
  const targets = [["web", 23], ["WEB", 22], ["", 22], ["localhost", 22], ["web.", 22], [
    "web:22",
    0,
  ]] as const;
  for (const [host, port] of targets) {
    const data = encodeTcpChannel({ target: { host, port }, originator: from });
    await assert.rejects(pair.server.open("forwarded-tcpip", data), {
      openReason: ChannelOpenReason.administrativelyProhibited,
    });
  }
  await assert.rejects(
    pair.server.open("forwarded-streamlocal@openssh.com", encodeForwardedStreamLocal("web:22")),
    ChannelOpenError,
  );
  assert.equal(calls, 0);
  await policy.open.get("web:22")!(from);
  assert.equal(calls, 1);
});

Deno.test("a refusal to listen is said, and what was refused can be asked again", async () => {
  let grant = false;
  await using pair = await forwardPair({
    listenTcp: () => Promise.resolve(grant ? { port: 1, close() {} } : undefined),
    listenStreamLocal: () => Promise.reject(new Error("inside")),
  });
  const { forwards } = pair;
  const address = { host: "web", port: 22 };
  await assert.rejects(forwards.listenTcp(address, () => {}), { code: "request-refused" });
  await assert.rejects(forwards.listenStreamLocal("/run/x", () => {}), { code: "request-refused" });
  grant = true;
  await forwards.listenTcp(address, () => {});
  await assert.rejects(forwards.listenTcp(address, () => {}), TypeError);
});

Deno.test("the same listener twice, cancelling what is not there, malformed requests: refused", async () => {
  const policy = new Listeners();
  await using pair = await forwardPair(policy);
  const ask = (name: string, data: Bytes) => pair.client.request(name, data, true);
  const web = encodeHostPort({ host: "web", port: 22 });
  assert.deepEqual(await ask("tcpip-forward", web), EMPTY);
  assert.equal(await ask("tcpip-forward", web), false);
  assert.equal(await ask("cancel-tcpip-forward", encodeHostPort({ host: "web", port: 23 })), false);
  assert.equal(await ask("tcpip-forward", encodeHostPort({ host: "web", port: 65_536 })), false);
  assert.equal(await ask("tcpip-forward", web.slice(0, -1)), false);
  assert.equal(await ask("tcpip-forward", EMPTY), false);
  // A socket whose path looks like an address is another thing.
  const path = encodeText("\0\0\0\x06web:22");
  assert.equal(await ask("cancel-streamlocal-forward@openssh.com", path as Bytes), false);
  assert.deepEqual([...policy.open.keys()], ["web:22"]);
});

Deno.test("listeners are capped", async () => {
  const policy = new Listeners();
  await using pair = await forwardPair(policy);
  const results = [];
  for (let i = 0; i < MAX_LISTENERS + 3; i++) {
    results.push(pair.client.request("tcpip-forward", encodeHostPort({ host: `h${i}`, port: 1 }), true));
    // Not more at once than may wait for their answer.
    if (i % 100 === 99) await results.at(-1);
  }
  const answers = await Promise.all(results);
  assert.equal(answers.filter((answer) => answer === false).length, 3);
  assert.equal(policy.open.size, MAX_LISTENERS);
});

Deno.test("listeners end with the connection, also those that are granted too late and those that cannot close", async () => {
  const late = Promise.withResolvers<GrantedListener>();
  const closed: string[] = [];
  await using pair = await forwardPair({
    listenTcp: ({ host }) => {
      if (host === "late") return late.promise;
      return Promise.resolve({
        port: 1,
        close: () => {
          closed.push(host);
          if (host === "broken") throw new Error("cannot");
          if (host === "rejecting") return Promise.reject(new Error("cannot"));
        },
      });
    },
  });
  for (const host of ["broken", "rejecting", "good"]) {
    await pair.forwards.listenTcp({ host, port: 1 }, () => {});
  }
  const asking = pair.forwards.listenTcp({ host: "late", port: 1 }, () => {});
  await settle();
  pair.client.close();
  await assert.rejects(asking, { code: "closed" });
  await pair.server.closed;
  await settle();
  assert.deepEqual(closed, ["broken", "rejecting", "good"]);
  late.resolve({ port: 1, close: () => void closed.push("late") });
  await settle();
  assert.deepEqual(closed, ["broken", "rejecting", "good", "late"]);
});

Deno.test("Unix sockets are forwarded both ways", async () => {
  const policy = new Listeners();
  const [near, far] = duplexPair();
  const dialled: string[] = [];
  const listenStreamLocal = policy.listenStreamLocal.bind(policy);
  await using pair = await forwardPair({
    listenStreamLocal,
    dialStreamLocal: (path) => {
      dialled.push(path);
      return Promise.resolve(far);
    },
  });
  const listener = await pair.forwards.listenStreamLocal("/run/app.sock", ({ accept, originator }) => {
    assert.equal(originator, undefined);
    accept().closeWrite();
  });
  const brought = await policy.open.get("/run/app.sock")!(from);
  assert.equal(await readAll(brought), "");
  await listener.close();
  assert.deepEqual(policy.closed, ["/run/app.sock"]);

  const channel = await openStreamLocal(pair.client, "/run/db.sock");
  await channel.write(encodeText("query"));
  await channel.closeWrite();
  assert.equal(await readAll(near), "query");
  await near.write(encodeText("rows"));
  await near.closeWrite();
  assert.equal(await readAll(channel), "rows");
  assert.deepEqual(dialled, ["/run/db.sock"]);
});

Deno.test("a dial is refused with the policy's own words, or with none about what is inside", async () => {
  await using pair = await forwardPair({
    dialTcp: ({ target }) => {
      if (target.host === "secret") {
        throw new ForwardRefusal(ChannelOpenReason.administrativelyProhibited, "no rule lets ann dial there");
      }
      return Promise.reject(new Error("connect ECONNREFUSED 10.1.2.3:22"));
    },
  });
  await assert.rejects(openTcp(pair.client, { host: "secret", port: 1 }), {
    openReason: ChannelOpenReason.administrativelyProhibited,
    message: "no rule lets ann dial there",
  });
  await assert.rejects(openTcp(pair.client, { host: "other", port: 1 }), {
    openReason: ChannelOpenReason.connectFailed,
    message: "the connection could not be opened",
  });
  // What has no callback does not exist.
  await assert.rejects(openStreamLocal(pair.client, "/run/x"), {
    openReason: ChannelOpenReason.unknownChannelType,
  });
  await assert.rejects(pair.client.open("direct-tcpip", encodeText("junk")), {
    openReason: ChannelOpenReason.connectFailed,
  });
});

Deno.test("each channel is decided anew: a forbidden one after an allowed one is refused", async () => {
  const ends: PlainDuplex[] = [];
  await using pair = await forwardPair({
    dialTcp: ({ target }) => {
      if (target.port !== 22) throw new ForwardRefusal(ChannelOpenReason.administrativelyProhibited, "no");
      const [near, far] = duplexPair();
      ends.push(near);
      return Promise.resolve(far);
    },
  });
  await openTcp(pair.client, { host: "web", port: 22 });
  await assert.rejects(openTcp(pair.client, { host: "web", port: 80 }), ChannelOpenError);
  await openTcp(pair.client, { host: "web", port: 22 });
  assert.equal(ends.length, 2);
  for (const end of ends) end.close();
});

Deno.test("what was dialled for a connection that has ended meanwhile is closed", async () => {
  const dialling = Promise.withResolvers<PlainDuplex>();
  const asked = Promise.withResolvers<void>();
  await using pair = await forwardPair({
    dialTcp: () => {
      asked.resolve();
      return dialling.promise;
    },
  });
  const opening = openTcp(pair.client, { host: "slow", port: 22 });
  await asked.promise;
  pair.client.close();
  await assert.rejects(opening);
  await pair.server.closed;
  const [near, far] = duplexPair();
  dialling.resolve(far);
  await assert.rejects(deadline(near.read(new Uint8Array(1)), "the close"), { code: "closed" });
});

Deno.test("a target that never speaks is let go when the peer has ended its side and gone", async () => {
  for (const how of ["the channel closes", "the connection ends"]) {
    const [near, far] = duplexPair();
    await using pair = await forwardPair({ dialTcp: () => Promise.resolve(far) });
    const channel = await openTcp(pair.client, { host: "silent", port: 22 });
    await channel.write(encodeText("last words"));
    await channel.closeWrite();
    assert.equal(await readAll(near), "last words");
    if (how === "the channel closes") channel.close();
    else pair.client.close();
    await waitUntil("the target's connection to end", async () => {
      try {
        await near.write(EMPTY);
        return false;
      } catch {
        return true;
      }
    }, 5000);
  }
});

Deno.test("a peer that ends its side still gets what the target says", async () => {
  const [near, far] = duplexPair();
  await using pair = await forwardPair({ dialTcp: () => Promise.resolve(far) });
  const channel = await openTcp(pair.client, { host: "late", port: 22 });
  await channel.closeWrite();
  assert.equal(await readAll(near), "");
  await near.write(encodeText("an answer after the end of the question"));
  await near.closeWrite();
  assert.equal(await readAll(channel), "an answer after the end of the question");
});
