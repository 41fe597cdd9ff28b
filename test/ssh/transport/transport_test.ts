import assert from "node:assert/strict";
import { type Bytes, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { UserauthRequest } from "../../../src/ssh/auth/messages.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { connectSsh } from "../../../src/ssh/client.ts";
import { acceptSsh } from "../../../src/ssh/server.ts";
import { ChaosDuplex } from "../../support/chaos.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { againstClient, againstServer } from "../hand_peer.ts";
import { clientOptions, connectPair, serverOptions } from "../handshake.ts";

Deno.test("a client whose guess is wrong is served, whatever method it guessed", async () => {
  for (const number of [30, 31, 34, 49]) {
    // Its first choice is not the server's: the guess is wrong by definition (RFC 4253 §7).
    const algorithms = { ...defaultAlgorithms, kex: ["diffie-hellman-group16-sha512", "curve25519-sha256"] };
    await using pair = againstServer({}, { algorithms });
    const { peer } = pair;
    await peer.identify();
    peer.sendKexInit(true);
    peer.send(new Uint8Array([number, 0, 0, 0, 1, 99]));
    await peer.receiveKexInit();
    await peer.sendMethod();
    await peer.receiveMethod();
    peer.sendNewKeys();
    await peer.receiveNewKeys();
    peer.send(new Writer().byte(Msg.SERVICE_REQUEST).string("ssh-userauth").finish());
    assert.equal((await peer.receiveNumber(Msg.SERVICE_ACCEPT))[0], Msg.SERVICE_ACCEPT);
  }
});

Deno.test("a client gets one wrong guess, and its number is one of a method", async () => {
  for (const guesses of [[29], [50], [34, 34]]) {
    const algorithms = { ...defaultAlgorithms, kex: ["diffie-hellman-group16-sha512", "curve25519-sha256"] };
    await using pair = againstServer({}, { algorithms });
    const { peer } = pair;
    await peer.identify();
    peer.sendKexInit(true);
    for (const number of guesses) peer.send(new Uint8Array([number, 0, 0, 0, 0]));
    assert.equal(await peer.goodbye(), `message ${guesses.at(-1)} is not allowed here`);
    await assert.rejects(pair.library, { code: "protocol" });
  }
});

Deno.test("a client whose guess is right is answered without asking again", async () => {
  // Both put the same method and the same host key algorithm first.
  await using pair = againstServer({}, { algorithms: { ...defaultAlgorithms, hostKey: ["ssh-ed25519"] } });
  const { peer } = pair;
  await peer.identify();
  peer.sendKexInit(true);
  await peer.receiveKexInit();
  await peer.sendMethod();
  await deadline(peer.receiveMethod(), "the answer to the guess");
  peer.sendNewKeys();
  await peer.receiveNewKeys();
  assert.equal(peer.sessionId.length, 32);
});

Deno.test("a server's announced guess is dropped by the client, and the next reply counts", async () => {
  const algorithms = { ...defaultAlgorithms, kex: ["curve25519-sha256"] };
  await using pair = againstClient({}, { algorithms });
  const { peer } = pair;
  await peer.identify();
  peer.sendKexInit(true);
  peer.send(new Uint8Array([33, 1, 2, 3, 4]));
  await peer.receiveKexInit();
  await peer.receiveMethod();
  peer.sendNewKeys();
  await peer.receiveNewKeys();
  assert.equal((await peer.receive())[0], Msg.SERVICE_REQUEST);
});

Deno.test("requests sent behind the one that succeeds are dropped, and the connection goes on", async () => {
  await using pair = againstServer({ auth: { none: () => ({ result: "accepted", identity: "anybody" }) } });
  const { peer } = pair;
  await peer.identify();
  await peer.exchangeKeys();
  peer.send(new Writer().byte(Msg.SERVICE_REQUEST).string("ssh-userauth").finish());
  const request = UserauthRequest.encode({
    user: "ann",
    service: "ssh-connection",
    method: "none",
    fields: EMPTY,
  });
  for (let i = 0; i < 5; i++) peer.send(request.slice());
  await peer.receiveNumber(Msg.USERAUTH_SUCCESS);
  await pair.library;
  peer.send(new Writer().byte(Msg.GLOBAL_REQUEST).string("anything").boolean(true).finish());
  await deadline(peer.receiveNumber(Msg.REQUEST_FAILURE), "an answer");
});

Deno.test("an abort tells the peer that this side ends, and keeps the reason here", async () => {
  const controller = new AbortController();
  await using pair = await connectPair({ server: { signal: controller.signal } });
  controller.abort(new Error("disk sda1 is full"));
  const [here, there] = await Promise.all([pair.server.closed, pair.client.closed]);
  assert.equal((here as SshError).code, "closed");
  assert.equal(here!.message, "disk sda1 is full");
  assert.equal(there, undefined);
});

Deno.test("an abort with an SshError carries its reason and sentence to the peer", async () => {
  const controller = new AbortController();
  await using pair = await connectPair({ server: { signal: controller.signal } });
  controller.abort(new SshError("closed", "the gateway is restarting", { reason: 7 }));
  const error = await pair.client.closed as SshError;
  assert.deepEqual([error.code, error.reason], ["disconnected", 7]);
  assert.match(error.message, /the gateway is restarting/);
});

Deno.test("an abort at any moment of the handshake ends both sides and leaves no timer", async () => {
  // Moments are counted in reads and writes of the side that aborts: every one of them is a moment.
  for (const who of ["client", "server"] as const) {
    for (let moment = 0;; moment++) {
      const clocks = [new FakeClock(), new FakeClock()];
      const controller = new AbortController();
      let steps = 0;
      let done = false;
      const [near, far] = duplexPair();
      const watched = watch(who === "client" ? near : far, () => {
        if (steps++ === moment && !done) controller.abort(new Error("enough"));
      });
      const signal = controller.signal;
      const results = await deadline(
        Promise.allSettled([
          connectSsh(
            who === "client" ? watched : near,
            clientOptions(who === "client" ? { signal, clock: clocks[0] } : { clock: clocks[0] }),
          ),
          acceptSsh(
            who === "server" ? watched : far,
            serverOptions(
              who === "server"
                ? { signal, clock: clocks[1], auth: auth() }
                : { clock: clocks[1], auth: auth() },
            ),
          ),
        ]),
        `${who}, moment ${moment}`,
      );
      done = true;
      const closed = results.map((result) => {
        if (result.status === "rejected") return;
        result.value.close();
        return result.value.closed;
      });
      await deadline(Promise.all(closed), `${who}, moment ${moment}: the end`);
      await settle();
      assert.deepEqual(clocks.map((clock) => clock.pending), [0, 0], `${who}, moment ${moment}`);
      if (!signal.aborted) break;
    }
  }
});

/** Refusals need no clock: nothing here tests their timing. */
function auth() {
  return { ...serverOptions().auth, failureQuantum: 0 };
}

/** Tells of every read and write of `inner`. */
function watch(inner: ReturnType<typeof duplexPair>[0], step: () => void) {
  return new (class extends ChaosDuplex {
    override read(into: Bytes) {
      step();
      return super.read(into);
    }
    override write(from: Bytes) {
      step();
      return super.write(from);
    }
  })(inner, {});
}

Deno.test("a handshake survives reads of one byte, on both sides", async () => {
  await using pair = await connectPair({
    aroundClient: (duplex) => new ChaosDuplex(duplex, { chunk: 1 }),
    aroundServer: (duplex) => new ChaosDuplex(duplex, { chunk: 1 }),
  });
  pair.server.onGlobalRequest = ({ data }) => data;
  const sent = encodeText("x".repeat(3000));
  assert.deepEqual(await pair.client.request("echo", sent, true), sent);
});

Deno.test("faults at every read and write, on either side: both ends settle and no timer is left", async () => {
  for (const side of ["client", "server"] as const) {
    for (const what of ["failRead", "failWrite"] as const) {
      for (let index = 0;; index++) {
        const clock = new FakeClock();
        let chaos!: ChaosDuplex;
        const around = (duplex: ReturnType<typeof duplexPair>[0]) =>
          chaos = new ChaosDuplex(duplex, { [what]: index });
        const label = `${side} ${what} ${index}`;
        const attempt = connectPair({
          client: { clock },
          server: { clock, auth: auth() },
          [side === "client" ? "aroundClient" : "aroundServer"]: around,
        }).then(async (pair) => {
          // Up to some traffic and the end.
          pair.server.onGlobalRequest = () => true;
          await pair.client.request("x", EMPTY, true).catch(() => {});
          await pair[Symbol.asyncDispose]();
          return true;
        }, (error) => {
          assert.ok(error instanceof SshError, `${label}: ${error}`);
          return false;
        });
        await deadline(attempt, label);
        await settle();
        assert.equal(clock.pending, 0, label);
        if ((what === "failRead" ? chaos.reads : chaos.writes) <= index) break;
      }
    }
  }
});

Deno.test("a round trip is measured both ways; a peer that never promised to answer is not asked", async () => {
  await using pair = await connectPair();
  assert.ok((await pair.client.ping())! >= 0);
  // The server knows after the client's EXT_INFO, which has come with its first packets.
  assert.ok((await pair.server.ping())! >= 0);
  pair.client.close();
  await pair.client.closed;
  assert.equal(await pair.client.ping(), undefined);

  await using hand = againstServer();
  await hand.peer.connect();
  const server = await hand.library;
  assert.equal(await server.ping(), undefined);
});

Deno.test("ext-info: the server's signature algorithms are complete, the client's lists only ping", async () => {
  await using hand = againstServer();
  const { peer } = hand;
  await peer.identify();
  await peer.exchangeKeys();
  const reader = new Reader(await peer.receive());
  assert.equal(reader.byte(), Msg.EXT_INFO);
  const extensions = Array.from({ length: reader.uint32() }, () => [reader.text(), reader.text()]);
  reader.end();
  const names = Object.fromEntries(extensions);
  assert.equal(names["ping@openssh.com"], "0");
  assert.equal(names["publickey-hostbound@openssh.com"], "0");
  assert.deepEqual(names["server-sig-algs"].split(",").sort(), [
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "ssh-ed25519",
  ]);
});

Deno.test("a host key that the verifier refuses ends the attempt with its sentence, before authentication", async () => {
  let asked = false;
  const attempt = connectPair({
    client: { verifyHostKey: () => "this is not the server you know" },
    server: {
      auth: {
        none: () => {
          asked = true;
          return { result: "refused" };
        },
      },
    },
  });
  await assert.rejects(attempt, { code: "host-key", message: "this is not the server you know", reason: 9 });
  assert.equal(asked, false);
});

Deno.test("a close before the peer reads ends after the linger, not later", async () => {
  const clock = new FakeClock();
  await using hand = againstServer({ clock, auth: auth() });
  const { peer } = hand;
  await peer.connect();
  const server = await hand.library;
  // Nobody reads: the pipe and the send buffer fill up.
  const payload = new Uint8Array(60_000);
  for (let i = 0; i < 10; i++) server.request("filler", payload, false);
  server.close();
  assert.equal(await server.closed, undefined);
  await settle();
  await clock.advance(5000);
  await assert.rejects(peer.sendAndWait(new Uint8Array([Msg.IGNORE, 0, 0, 0, 0])));
  assert.equal(clock.pending, 0);
});
