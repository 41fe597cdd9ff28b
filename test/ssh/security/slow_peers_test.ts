/** Slow, endless and wordy peers before authentication. */
import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { connectSsh } from "../../../src/ssh/client.ts";
import type { SshError } from "../../../src/ssh/error.ts";
import { LOGIN_GRACE_MS } from "../../../src/ssh/establish.ts";
import { acceptSsh } from "../../../src/ssh/server.ts";
import { KEX_DEADLINE_MS, MAX_PREAMBLE } from "../../../src/ssh/transport/limits.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { againstServer } from "../hand_peer.ts";
import { clientOptions, serverOptions } from "../handshake.ts";

/** What is sent at once, what then comes byte by byte, and what ends it. */
const slow: [stage: string, atOnce: Bytes, drip: string, end: string, seconds: number][] = [
  ["banner", EMPTY, "SSH-2.0-x", "timeout: authentication took too long", LOGIN_GRACE_MS / 1000],
  [
    "KEXINIT",
    concat(encodeText("SSH-2.0-slow\r\n"), new Uint8Array([0, 0, 0x40, 4, 4, Msg.KEXINIT])),
    "x",
    "timeout: the key exchange took too long",
    KEX_DEADLINE_MS / 1000,
  ],
  ["silence", EMPTY, "", "timeout: authentication took too long", LOGIN_GRACE_MS / 1000],
];

for (const [stage, atOnce, drip, end, limit] of slow) {
  Deno.test(`a client that sends one byte a second (${stage}) is cut off in time`, async () => {
    const clock = new FakeClock();
    const [near, far] = duplexPair();
    const accepting = acceptSsh(far, serverOptions({ clock }));
    let ended: string | undefined;
    accepting.catch((error: SshError) => ended = `${error.code}: ${error.message}`);
    await near.write(atOnce);
    let seconds = 0;
    for (; seconds < 1000 && !ended; seconds++) {
      const letter = drip[Math.min(seconds, drip.length - 1)] ?? "";
      await near.write(encodeText(letter)).catch(() => {});
      await clock.advance(1000);
    }
    assert.deepEqual([ended, seconds], [end, limit]);
    await clock.advance(5000);
    assert.equal(clock.pending, 0);
    near.close();
  });
}

Deno.test("a client that is done with keys and then says nothing is cut off too, and told", async () => {
  const clock = new FakeClock();
  await using pair = againstServer({ clock, auth: { ...serverOptions().auth, failureQuantum: 0 } });
  const { peer } = pair;
  await peer.identify();
  await peer.exchangeKeys();
  const goodbye = peer.goodbye();
  await clock.advance(LOGIN_GRACE_MS);
  assert.equal(await goodbye, "authentication took too long");
  await assert.rejects(pair.library, { code: "timeout" });
  peer.close();
  await settle();
  assert.equal(clock.pending, 0);
});

Deno.test("a server's preamble may be long, not endless; a client has none", async () => {
  const meet = async (...lines: string[]) => {
    const [near, far] = duplexPair();
    const connecting = connectSsh(near, clientOptions());
    const failed = connecting.catch((error: SshError) => error.message);
    for (const line of lines) await far.write(encodeText(line)).catch(() => {});
    // The client said its line at the start; then nothing, or its KEXINIT when it has read ours.
    let result = "goes on";
    failed.then((message) => result = message as string);
    await settle();
    await settle();
    far.close();
    const seen = result;
    await failed;
    return seen;
  };
  assert.equal(await meet("Welcome.\r\n", "Be nice.\n", "SSH-2.0-x\r\n"), "goes on");
  assert.equal(await meet(...Array(200).fill("twenty characters ..\r\n"), "SSH-2.0-x\r\n"), "goes on");
  assert.match(await meet(...Array(1000).fill("twenty characters ..\r\n")), /does not speak SSH/);
  assert.match(await meet("x".repeat(MAX_PREAMBLE + 1)), /a line longer than/);

  const [near, far] = duplexPair();
  const accepting = acceptSsh(far, serverOptions());
  await near.write(encodeText("GET / HTTP/1.1\r\n"));
  await assert.rejects(deadline(accepting, "the end"), {
    code: "protocol",
    message: "the peer does not speak SSH",
  });
});

Deno.test("identifications of other versions, too long ones and those with controls are refused", async () => {
  const lines = [
    "SSH-1.5-old\r\n",
    "SSH-2.1-new\r\n",
    "SSH-2.0-\r\n",
    "SSH-2.0-\x1b[2Jx\r\n",
    "SSH-2.0-é\r\n",
  ]
    .concat("SSH-2.0-" + "x".repeat(300) + "\r\n");
  for (const line of lines) {
    const [near, far] = duplexPair();
    const accepting = acceptSsh(far, serverOptions());
    await near.write(encodeText(line));
    await assert.rejects(deadline(accepting, line), { code: "protocol" });
  }
});

Deno.test("a peer's disconnect text is made printable and short", async () => {
  for (const phase of ["before keys", "authenticated"]) {
    await using pair = againstServer();
    const { peer } = pair;
    if (phase === "authenticated") await peer.connect();
    else await peer.identify();
    const text = "bye\r\n2026-01-01 root logged in\x1b[2J\u202e" + "x".repeat(5000);
    peer.send(new Writer().byte(Msg.DISCONNECT).uint32(2).string(text).string("en").finish());
    const error = await pair.library.then((c) => c.closed, (error) => error) as SshError;
    assert.equal(error.code, "disconnected");
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(error.message, /[\x00-\x1f\x7f-\x9f\u202e]/);
    assert.match(error.message, /bye\\u\{d\}\\u\{a\}2026/);
    assert.ok(error.message.length < 600, `${error.message.length}`);
  }
});
