/** What every stock client does on a server of ours, step by step. */
import assert from "node:assert/strict";
import { openssh, type Peer, peerStep } from "../support/peers.ts";
import { run as runOnce, start } from "../support/process.ts";
import type { Site } from "../support/site.ts";
import { lastLine } from "../support/stock_client.ts";
import {
  exchangeSoon,
  fileHash,
  freePort,
  pattern,
  patternHash,
  sha256,
  sinkServer,
} from "../support/tcp.ts";
import type { Server, StockClient } from "./clients.ts";

/** Bytes that go through a command and a file: some windows' worth. */
const SIZE = 3_000_000;

export interface Abilities {
  /** Terminals and SFTP. Default: yes. */
  readonly sessions?: boolean;
  /** Ports opened at the server's end. Default: yes. */
  readonly listening?: boolean;
  /** What runs commands. */
  readonly run?: typeof runOnce;
}

/**
 * @param client what runs
 * @param server where it logs in; the site's known hosts know it
 */
export async function checkClient(
  t: Deno.TestContext,
  client: StockClient,
  site: Site,
  server: Server,
  { sessions = true, listening = true, run = runOnce }: Abilities = {},
): Promise<void> {
  const needed: Peer[] = [client.peer, openssh];
  const step = (what: string, body: () => Promise<void>) =>
    peerStep(t, `${client.name} ${what}`, needed, body);

  await step("runs a command: both outputs, half-close, exit status", async () => {
    const { line, env } = client.exec(site, server, "cat; echo apart >&2; exit 7");
    const { code, stdout, stderr } = await run(line, { env, stdin: new Blob([...pattern(SIZE)]) });
    assert.deepEqual([lastLine(stderr), sha256(stdout), code], ["apart", patternHash(SIZE), 7]);
  });

  if (sessions) {
    await step("has a terminal", async () => {
      const { line, env } = client.pty(site, server, "test -t 0 && test -t 1 && tty && exit 3");
      const { code, text, stderr } = await run(line, { env });
      assert.match(text, /\/dev\/pts\/\d+\r?\n/, stderr);
      assert.equal(code, 3);
    });
  }

  if (sessions && client.copy) {
    const { copy } = client;
    await step("copies a file there and back by SFTP", async () => {
      const local = site.folder.write(`copied ${client.name}`.replaceAll(" ", "-"), "");
      Deno.writeFileSync(local, new Uint8Array(await new Blob([...pattern(SIZE)]).arrayBuffer()));
      const { line, env } = copy(site, server, local, `${local}.there`);
      const { code, text, stderr } = await run(line, { env });
      assert.equal(code, 0, stderr + text);
      assert.equal(fileHash(`${local}.there`), patternHash(SIZE));
      assert.equal(fileHash(`${local}.back`), patternHash(SIZE));
    });
  }

  await step(listening ? "forwards both ways" : "forwards", async () => {
    await using sink = sinkServer();
    const bytes = new Uint8Array(await new Blob([...pattern(SIZE)]).arrayBuffer());
    const [near, far] = [freePort(), freePort()];
    const local = client.localForward(site, server, near, `127.0.0.1:${sink.port}`);
    await using _local = start(local.line, { env: local.env });
    assert.equal(new TextDecoder().decode(await exchangeSoon(near, bytes)), sha256(bytes));
    if (!listening) return;
    const remote = client.remoteForward(site, server, `127.0.0.1:${far}`, sink.port);
    await using _remote = start(remote.line, { env: remote.env });
    assert.equal(new TextDecoder().decode(await exchangeSoon(far, bytes)), sha256(bytes));
  });
}
