/** What people get wrong, at every command: one sentence on standard error, and the exit code that `--help` documents. */
import assert from "node:assert/strict";
import { exitCodes as agentCodes } from "../../src/agent/exit_codes.ts";
import { exitCodes as gatewayCodes } from "../../src/gateway/exit_codes.ts";
import { exitCodes as sshmCodes } from "../../src/sshm/exit_codes.ts";
import { makeKey } from "../support/keygen.ts";
import { meshEnvironment, meshLine, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { type Finished, run, start } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { freePort, tcpServer } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";

const CODES = { gateway: gatewayCodes, agent: agentCodes, sshm: sshmCodes } as const;

interface Mistake<C extends keyof typeof CODES = keyof typeof CODES> {
  readonly command: C;
  readonly args: readonly string[];
  readonly reason: string;
  readonly sentence: RegExp;
}

function mistake<C extends keyof typeof CODES>(
  command: C,
  reason: keyof typeof CODES[C] & string,
  sentence: RegExp,
  ...args: string[]
): Mistake {
  return { command, args, reason, sentence };
}

/** The last line says what is wrong, and nothing looks like a crash. */
function checkSentence({ command, reason, sentence }: Mistake, { code, stderr }: Finished): void {
  const codes: Record<string, { readonly code: number }> = CODES[command];
  assert.equal(code, codes[reason].code, stderr);
  const lines = stderr.trimEnd().split("\n");
  assert.match(lines.at(-1)!, sentence);
  assert.ok(lines.at(-1)!.startsWith(`${command}: `), stderr);
  assert.doesNotMatch(stderr, /^ +at |Uncaught|Stack/m);
}

peerTest("each mistake at each command is one sentence and a documented exit code", [openssh], async (t) => {
  using site = await makeSite();
  const { folder, key } = site;
  const second = await makeKey(folder, "second");
  await using gateway = await startGateway(folder, { owners: [key.line, second.line] });
  site.expect(gateway.port, gateway.hostKey);
  // A name of the first owner's; the second one asks for it below.
  await using holder = start(
    sshLine(openssh, { port: gateway.port, identity: key.path, knownHosts: site.knownHosts }, [
      ...["-v", "-N", "-R", "held:22:127.0.0.1:9"],
    ]),
  );
  await holder.stderr.match(/remote forward success/);
  await using taken = tcpServer(() => Promise.resolve());

  const stranger = await makeKey(folder, "stranger");
  const open = folder.write("open", Deno.readTextFileSync(key.path), 0o644);
  const nonsense = folder.write("nonsense", "this is no key\n");
  const empty = folder.write("empty", "");
  const none = folder.at("none");
  const wide = folder.at("wide");
  Deno.mkdirSync(wide);
  Deno.chmodSync(wide, 0o755);
  const gw = `127.0.0.1:${gateway.port}`;
  const { fingerprint } = gateway.hostKey;
  const other = stranger.fingerprint;
  const changed = folder.write("changed", `[127.0.0.1]:${gateway.port} ${stranger.bare}\n`);
  const home = folder.at("home");
  Deno.mkdirSync(home, { mode: 0o700 });

  const quiet = ["--listen", "127.0.0.1:0", "--admin", "off"];
  const agent = (...args: string[]) => [
    ...["--gateway", gw, "--gateway-key", fingerprint, "--name", "mine", "--state", `${home}/agent-state`],
    ...args,
  ];
  const withKey = ["--identity", key.path];
  const asked = (...args: string[]) => ["--gateway", gw, "--gateway-key", fingerprint, ...args];
  const elsewhere = "gateway.invalid:15022";

  const mistakes: readonly Mistake[] = [
    // wrong flag
    mistake("gateway", "usage", /'--fly'/, "--fly"),
    mistake("agent", "usage", /'--fly'/, "--fly"),
    mistake("sshm", "usage", /'--fly'/, "--fly"),
    mistake("gateway", "usage", /--listen.*nowhere/, "--listen", "nowhere"),
    mistake("agent", "usage", /--expose.*many/, ...agent("--expose", "many")),
    mistake("agent", "usage", /nothing to do/),
    mistake("sshm", "usage", /many/, ...asked("connect", "web:many")),
    // unreadable key
    mistake("gateway", "files", /none/, ...quiet, "--host-key", none),
    mistake("gateway", "files", /nonsense/, ...quiet, "--host-key", nonsense),
    mistake("gateway", "files", /none/, ...quiet, "--authorized-keys", none),
    mistake("agent", "files", /none/, ...agent("--identity", none)),
    mistake("agent", "files", /nonsense/, ...agent("--identity", nonsense)),
    mistake("agent", "files", /none/, ...agent(...withKey, "--authorized-keys", none)),
    mistake("sshm", "files", /none/, ...asked("--identity", none, "whoami")),
    mistake("sshm", "files", /nonsense/, ...asked("--identity", nonsense, "whoami")),
    // key file too open
    mistake("gateway", "files", /open.*0644/, ...quiet, "--host-key", open),
    mistake("agent", "files", /open.*0644/, ...agent("--identity", open)),
    mistake("sshm", "files", /open.*0644/, ...asked("--identity", open, "whoami")),
    mistake("gateway", "state", /wide.*0755/, ...quiet, "--state", wide),
    mistake("agent", "state", /wide.*0755/, ...agent(...withKey, "--state", wide)),
    // port taken
    mistake("gateway", "address", /already in use/, "--listen", `127.0.0.1:${taken.port}`, "--admin", "off"),
    mistake(
      "gateway",
      "address",
      /already in use/,
      ...quiet.slice(0, 2),
      "--admin",
      `127.0.0.1:${taken.port}`,
    ),
    mistake("gateway", "state", /in use|uses the state folder/, ...quiet, "--state", gateway.state),
    mistake("agent", "address", /already in use/, ...agent(...withKey, "-L", `${taken.port}:web:22`)),
    mistake(
      "sshm",
      "address",
      /already in use/,
      ...asked(...withKey, "connect", "web", "-L", `${taken.port}`),
    ),
    // unknown gateway
    mistake(
      "agent",
      "unknownGateway",
      /gateway\.invalid/,
      "--gateway",
      elsewhere,
      ...withKey,
      "--state",
      `${home}/a`,
    ),
    mistake(
      "agent",
      "unknownGateway",
      /not in .*empty/,
      ...["--gateway", gw, "--known-hosts", empty],
      ...withKey,
    ),
    mistake("sshm", "unknownGateway", /gateway\.invalid/, "--gateway", elsewhere, ...withKey, "whoami"),
    mistake(
      "sshm",
      "unknownGateway",
      /127\.0\.0\.1/,
      "--gateway",
      gw,
      "--known-hosts",
      empty,
      ...withKey,
      "whoami",
    ),
    mistake(
      "sshm",
      "unreachable",
      /127\.0\.0\.1/,
      "--gateway",
      `127.0.0.1:${freePort()}`,
      ...withKey,
      "whoami",
    ),
    // changed host key
    mistake(
      "agent",
      "hostKey",
      /host key/,
      "--gateway",
      gw,
      "--gateway-key",
      other,
      ...withKey,
      "--state",
      `${home}/b`,
    ),
    mistake("agent", "hostKey", /host key/, "--gateway", gw, "--known-hosts", changed, ...withKey),
    mistake("sshm", "hostKey", /host key/, "--gateway", gw, "--gateway-key", other, ...withKey, "whoami"),
    mistake("sshm", "hostKey", /host key/, "--gateway", gw, "--known-hosts", changed, ...withKey, "whoami"),
    // refused credential and name
    mistake("agent", "credential", /does not accept the key SHA256:/, ...agent("--identity", stranger.path)),
    mistake("sshm", "credential", /SHA256:|keys?/, ...asked("--identity", stranger.path, "whoami")),
    mistake("agent", "refusedName", /held:22/, ...agent("--identity", second.path, "--name", "held")),
    mistake("agent", "refusedName", /127\.0\.0\.1|192\.0\.2\.1/, ...agent(...withKey, "--name", "192.0.2.1")),
    mistake("sshm", "refused", /nobody|nothing|web|serves/, ...asked(...withKey, "connect", "nobody:22")),
  ];
  for (const row of mistakes) {
    const name = [row.command, ...row.args].join(" ").replaceAll(folder.path, "").replaceAll(
      /\b\d{5}\b/g,
      "PORT",
    );
    await t.step(name.replaceAll(/SHA256:\S+/g, "KEY"), async () => {
      const line = meshLine(row.command, row.args);
      checkSentence(row, await run(line, { env: meshEnvironment(home), stdin: "" }));
    });
  }

  await t.step(
    "a gateway that is made anew is not believed by an agent that pinned the old one",
    async () => {
      const state = `${home}/pins`;
      const args = ["--gateway", gw, "--name", "pinning", ...withKey, "--state", state, "--log", "json"];
      const first = start(meshLine("agent", args), { env: meshEnvironment(home) });
      await first.stdout.match(/"event":"pinned"/);
      await first.stdout.match(/"event":"ready"/);
      await first.stop();
      await gateway.kill();
      await waitUntil("the end of the gateway", () => gateway.process.exited);
      Deno.removeSync(gateway.state, { recursive: true });
      await using _another = await gateway.restart();
      const plain = args.slice(0, -2);
      const finished = await run(meshLine("agent", plain), { env: meshEnvironment(home) });
      checkSentence(mistake("agent", "hostKey", /another host key/), finished);
      const ssh = { port: gateway.port, identity: key.path, knownHosts: site.knownHosts };
      assert.match(
        (await run(sshLine(openssh, ssh, [], "whoami"))).stderr,
        /HOST IDENTIFICATION HAS CHANGED/,
      );
    },
  );
});
