/** Agents of root: other accounts by `--allow-principal USER=PRINCIPAL`. */
import assert from "node:assert/strict";
import { defaultSessionPolicy, type SessionHost } from "../../src/agent/exec.ts";
import type { Account } from "../../src/agent/login.ts";
import { forwardRightsAs, processesAs, sessionPolicyAs } from "../../src/agent/other_account.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import type { PipeReader } from "../../src/platform/process.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { findProgram, openssh } from "../support/peers.ts";
import { type Finished, run } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { opensshOptions } from "../support/stock_client.ts";

/** An account that every Debian has, beside root. */
const OTHER = "daemon";

const why = Deno.uid() !== 0
  ? "needs root"
  : !findProgram("setpriv")
  ? "no setpriv on this system"
  : undefined;

function rootTest(name: string, fn: () => Promise<void>): void {
  if (why && Deno.env.get("CI") === "true") throw new Error(`CI skips nothing: ${why}`);
  Deno.test({ name: why ? `${name} [skipped: ${why}]` : name, ignore: why !== undefined, fn });
}

/** Logs in as `user` with a certificate for `principals`, on an agent that maps OTHER to `ops`. */
async function login(
  user: string,
  principals: readonly string[],
  rest: readonly string[],
  command: string,
): Promise<Finished> {
  using site = await makeSite();
  const { folder, key } = site;
  const authority = await makeKey(folder, "authority");
  await makeCertificate(authority, key, {
    role: "user",
    principals,
    options: ["permit-pty", "permit-port-forwarding", "permit-agent-forwarding"],
  });
  const agent = meshLine("agent", [
    ...["--stdio", "--state", folder.at("state"), "--authorized-keys", folder.write("none", "")],
    ...["--trust-user-ca", authority.publicPath],
    ...["--allow-principal", `${OTHER}=ops`, "--allow-principal", "admin"],
  ]);
  const env = Object.entries(meshEnvironment(folder.path)).map(([name, value]) => `${name}=${value}`);
  const proxy = ["env", ...env, ...agent].map((word) => `'${word}'`).join(" ");
  const options = opensshOptions({
    port: 22,
    identity: key.path,
    knownHosts: folder.at("unseen"),
    options: [`ProxyCommand=${proxy}`, "StrictHostKeyChecking=no"],
  });
  return await run(openssh.line("ssh", ...options, ...rest, `${user}@pipe`, command));
}

/** As the system has it, but for the shell: nobody logs in as daemon. */
const account: Account = { name: OTHER, uid: 1, gid: 1, home: "/", shell: "/bin/sh", groups: [OTHER] };
const env = { PATH: "/usr/bin:/bin", USER: OTHER };

async function textOf(pipe: PipeReader): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let count; (count = await pipe.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, count));
  }
  return text;
}

rootTest("programs have the account's user, group and groups, and no way back", async () => {
  const script = 'id -u; id -g; id -G; grep CapEff /proc/self/status; echo "$USER $0 $1"; exit 4';
  const child = await processesAs(denoProcesses, account).spawn({
    file: "/bin/sh",
    args: ["-c", script, "--reuid=0", "word"],
    env,
    cwd: "/",
  });
  await child.stdin.close();
  const [text] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  assert.deepEqual(text.split("\n"), [
    "1",
    "1",
    "1",
    "CapEff:\t0000000000000000",
    `${OTHER} --reuid=0 word`,
    "",
  ]);
  assert.deepEqual(await child.status, { code: 4 });
});

rootTest("a terminal is the account's, and its shell a login shell", async () => {
  const child = await processesAs(denoProcesses, account).spawnOnTerminal(
    { file: "/bin/bash", args: [], env, cwd: "/", argv0: "-bash" },
    { term: "dumb", columns: 80, rows: 24 },
  );
  await child.input.write(
    new TextEncoder().encode("id -u; shopt -q login_shell && echo is-a-login; exit 5\n"),
  );
  const text = await textOf(child.output);
  assert.match(text, /^1\r$/m);
  assert.match(text, /^is-a-login\r$/m);
  assert.deepEqual(await child.status, { code: 5 });
});

rootTest("an account without a shell stays without one", async () => {
  const done = await login(OTHER, ["ops"], [], "id -un");
  assert.deepEqual([done.code, done.text], [1, "This account is currently not available.\n"]);
});

rootTest("a session of another account gets nothing that the agent does with its own rights", async () => {
  const host = { isExecutable: () => Promise.resolve(false) } as unknown as SessionHost;
  const policy = await sessionPolicyAs(defaultSessionPolicy, host);
  assert.deepEqual([policy.allowAgentForwarding, policy.subsystems.size], [false, 0]);
  const rights = forwardRightsAs({
    listen: { bind: "loopback", permits: () => true },
    dialUnix: true,
    listenUnix: true,
  });
  assert.deepEqual([rights.dialUnix, rights.listenUnix], [false, false]);
  assert.deepEqual([0, 1023, 1024].map((port) => rights.listen!.permits("localhost", port)), [
    true,
    false,
    true,
  ]);
});

rootTest("a principal of one account opens no other, and root's own stays root's", async () => {
  assert.equal((await login("root", ["ops"], [], "id -un")).code, 255);
  assert.equal((await login(OTHER, ["admin"], [], "id -un")).code, 255);
  assert.equal((await login("bin", ["ops"], [], "id -un")).code, 255);
  assert.equal((await login("root", ["admin"], [], "id -un")).text, "root\n");
});
