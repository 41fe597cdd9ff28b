/** Our client's sessions on stock servers. */
import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../../src/bytes/bytes.ts";
import { openSession, type RunningProgram } from "../../../src/ssh/session/client.ts";
import type { ClientConnection } from "../../../src/ssh/client.ts";
import { connectLibrary } from "../../support/library_client.ts";
import { readSigner } from "../../support/library_server.ts";
import { makeKey, toDropbear } from "../../support/keygen.ts";
import {
  dropbear,
  dropbearNewest,
  openssh,
  opensshNewest,
  type Peer,
  peerTest,
} from "../../support/peers.ts";
import { makeSite } from "../../support/site.ts";
import { startDropbear, startSshd } from "../../support/stock_server.ts";
import { waitUntil } from "../../support/wait.ts";

async function withServer(peer: Peer, body: (connection: ClientConnection) => Promise<void>): Promise<void> {
  using site = await makeSite();
  const hostKey = await makeKey(site.folder, "host");
  const authorized = [site.key.line];
  await using server = peer === dropbear || peer === dropbearNewest
    ? await startDropbear(peer, site.folder, { hostKey: await toDropbear(hostKey), authorized })
    : await startSshd(peer, site.folder, { hostKeys: [hostKey], authorized, config: ["AcceptEnv GREETING"] });
  const signer = await readSigner(site.key);
  const connection = await connectLibrary({ port: server.port, user: server.user, hostKey, signer });
  try {
    await body(connection);
  } finally {
    connection.close();
    await connection.gone;
  }
}

/** Reads one output in the background. Calling it tells what has come so far, `whole` waits for the end. */
function collect(program: RunningProgram): (() => string) & { readonly whole: Promise<string> } {
  let text = "";
  const whole = (async () => {
    const buffer = new Uint8Array(4096);
    for (let n = await program.stdout.read(buffer); n !== null; n = await program.stdout.read(buffer)) {
      text += decodeText(buffer.subarray(0, n));
    }
    return text;
  })();
  whole.catch(() => {});
  return Object.assign(() => text, { whole });
}

const PTY = { term: "vt220", columns: 91, rows: 17 };

// The newest ones live in a tree without /dev/pts: no terminals there.
for (const peer of [openssh, dropbear]) {
  peerTest(
    `${peer.name}: a terminal has size, TERM and modes, is resized, and ends with its status`,
    [peer],
    () =>
      withServer(peer, async (connection) => {
        const session = await openSession(connection);
        const program = await session.shell({ pty: { ...PTY, modes: new Map([[3, 8], [53, 1]]) } });
        const output = collect(program);
        const sees = (text: string) => waitUntil(text, () => Promise.resolve(output().includes(text)));
        await program.stdin.write(encodeText("stty -a; echo $TERM; echo one''two\n"));
        await sees("onetwo");
        for (const expected of ["rows 17; columns 91;", "erase = ^H;", "vt220"]) {
          assert.ok(output().includes(expected), `${expected} in ${output()}`);
        }
        await program.resize({ columns: 66, rows: 22 });
        await program.stdin.write(encodeText("sleep 0.2; echo size $(stty size)\n"));
        await sees("size 22 66");
        await program.stdin.write(encodeText("exit 9\n"));
        assert.deepEqual(await program.status, { code: 9 });
      }),
  );
}

for (const peer of [openssh, opensshNewest, dropbear, dropbearNewest]) {
  const isOpenSsh = peer === openssh || peer === opensshNewest;

  peerTest(
    `${peer.name}: a signal's end is told, and input that is not read does not hang`,
    [peer],
    () =>
      withServer(peer, async (connection) => {
        const killed = await (await openSession(connection)).exec("kill -TERM $$");
        assert.deepEqual(await killed.status, { signal: "TERM", coreDumped: false });

        const head = await (await openSession(connection)).exec("head -c 1 >/dev/null; echo enough");
        const output = collect(head);
        const block = new Uint8Array(64 * 1024);
        let refused = false;
        for (let i = 0; i < 1000 && !refused; i++) await head.stdin.write(block).catch(() => refused = true);
        assert.ok(refused, "the server took 64 MB that nobody reads");
        assert.deepEqual(await head.status, { code: 0 });
        assert.equal(await output.whole, "enough\n");
      }),
  );

  if (!isOpenSsh) {
    // sshd delivers no signals where root logs in.
    peerTest(`${peer.name}: signals reach the program`, [peer], () =>
      withServer(peer, async (connection) => {
        const script = "trap 'echo trapped; exit 6' USR1; echo ready; while :; do sleep 0.05; done";
        const program = await (await openSession(connection)).exec(script);
        const output = collect(program);
        await waitUntil("the program", () => Promise.resolve(output() === "ready\n"));
        await program.signal("USR1");
        assert.deepEqual(await program.status, { code: 6 });
        assert.equal(await output.whole, "ready\ntrapped\n");
      }));
    continue;
  }

  peerTest(
    `${peer.name}: accepted variables reach the program`,
    [peer],
    () =>
      withServer(peer, async (connection) => {
        const options = { env: { GREETING: "hello", OTHER: "no" } };
        const program = await (await openSession(connection)).exec("echo $GREETING$OTHER", options);
        const output = collect(program);
        assert.deepEqual(await program.status, { code: 0 });
        assert.equal(await output.whole, "hello\n");
      }),
  );

  peerTest(
    `${peer.name}: what the server refuses is an error`,
    [peer],
    () =>
      withServer(peer, async (connection) => {
        const session = await openSession(connection);
        await assert.rejects(session.subsystem("netconf"), { name: "SshError", code: "request-refused" });
        session.close();
      }),
  );
}
