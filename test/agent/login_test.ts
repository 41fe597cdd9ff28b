import assert from "node:assert/strict";
import { acceptsVariable, sessionEnvironment } from "../../src/agent/environment.ts";
import { defaultSessionPolicy, sessionHandlers, type SessionPolicy } from "../../src/agent/exec.ts";
import { evaluate } from "../../src/agent/sshd_config/evaluate.ts";
import { parseSshdConfig } from "../../src/agent/sshd_config/parse.ts";
import { type Account, accountFor } from "../../src/agent/login.ts";
import { groupsOf, parsePasswd } from "../../src/deno/passwd.ts";
import { accountSource } from "../../src/deno/account.ts";
import { run } from "../support/process.ts";

const account: Account = {
  name: "app",
  uid: 1000,
  gid: 1000,
  home: "/srv/app",
  shell: "/bin/sh",
  groups: ["app"],
};

Deno.test("passwd and group files are read, and lines that are none passed over", () => {
  const text =
    "root:x:0:0:root:/root:/bin/bash\n# no\n+::::::\nshort:x:1\nbad:x:one:1::/:/bin/sh\napp:x:1000:100:A,,:/srv:\n";
  const entries = parsePasswd(text);
  assert.deepEqual(entries, [
    { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/bash" },
    { name: "app", uid: 1000, gid: 100, home: "/srv", shell: "/bin/sh" },
  ]);
  const groups = "root:x:0:\nusers:x:100:\nwheel:x:10:root,app\nother:x:11:apple\nbroken\n";
  assert.deepEqual(groupsOf(entries[1], groups), ["users", "wheel"]);
});

Deno.test("the agent's own account is the one that id tells", async () => {
  const own = await accountSource.own();
  const { text } = await run(["id", "-un"]);
  assert.equal(own.name, text.trim());
  assert.equal(own.uid, Deno.uid());
  assert.ok(own.home.startsWith("/") && own.shell.startsWith("/"));
});

Deno.test("another login name is refused with the right one", () => {
  assert.equal(accountFor("app", account), account);
  assert.throws(() => accountFor("root", account), {
    name: "LoginError",
    message: /as app only: log in as app/,
  });
});

Deno.test("of the environment's sources the session itself has the last word", () => {
  const env = sessionEnvironment({
    account,
    inherited: { PATH: "/p", TZ: "UTC", SSH_TTY: "/dev/outer", SSH_AUTH_SOCK: "/outer" },
    client: new Map([
      ...[["LANG", "C"], ["TZ", "client"], ["PATH", "/evil"], ["USER", "root"], ["SSH_CONNECTION", "lie"]],
    ] as [string, string][]),
    keyLine: new Map([["TZ", "key"], ["OWN", "key"]]),
    setEnv: new Map([["TZ", "admin"], ["HOME", "/x"]]),
    endpoints: { clientAddress: "::1", clientPort: 9, serverAddress: "::2", serverPort: 22 },
    originalCommand: "ls",
  });
  assert.deepEqual(env, {
    PATH: "/p",
    LANG: "C",
    TZ: "admin",
    USER: "app",
    LOGNAME: "app",
    // An administrator may say so, as to sshd.
    HOME: "/x",
    OWN: "key",
    SHELL: "/bin/sh",
    SSH_CLIENT: "::1 9 22",
    SSH_CONNECTION: "::1 9 ::2 22",
    SSH_ORIGINAL_COMMAND: "ls",
  });
});

Deno.test("without an address a session has no SSH_CONNECTION, root's PATH has the system's programs", () => {
  const root = { ...account, uid: 0 };
  const env = sessionEnvironment({
    account: root,
    client: new Map([["SSH_CLIENT", "lie"]]),
    agentSocket: "/a",
  });
  assert.ok(env.PATH.includes("/usr/sbin"));
  assert.equal(env.SSH_AUTH_SOCK, "/a");
  assert.deepEqual([env.SSH_CLIENT, env.SSH_CONNECTION], [undefined, undefined]);
});

Deno.test("an sshd_config is a session policy as it is", async () => {
  const files = {
    read: () => Promise.resolve("PermitTTY no\nDisableForwarding yes\n"),
    glob: () => Promise.resolve([]),
  };
  const policy: SessionPolicy = evaluate(await parseSshdConfig("/c", files));
  const unused = undefined as never;
  const owner = { host: unused, account, policy, builtins: {}, connection: unused };
  const handlers = sessionHandlers(owner);
  assert.equal(handlers.acceptPty?.(unused), false);
  assert.equal(handlers.acceptAgentForwarding?.(), false);
  assert.equal(sessionHandlers({ ...owner, policy: defaultSessionPolicy }).acceptAgentForwarding?.(), true);
});

Deno.test("AcceptEnv has patterns and knows case", () => {
  const table: [string, boolean][] = [
    ["LANG", true],
    ["LC_ALL", true],
    ["lang", false],
    ["LANGUAGE", false],
    ["LC", false],
  ];
  for (const [name, accepted] of table) assert.equal(acceptsVariable(name, ["LANG", "LC_*"]), accepted, name);
});
