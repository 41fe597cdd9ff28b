import assert from "node:assert/strict";
import { evaluate, type SshdConfig } from "../../src/agent/sshd_config/evaluate.ts";
import { parseSshdConfig } from "../../src/agent/sshd_config/parse.ts";
import {
  algorithmLists,
  clientAlive,
  dropsStartup,
  fidoDemand,
  forwardingRights,
  isShortRsa,
  keysNeeded,
  logAt,
  sessionRights,
  sourceOf,
} from "../../src/agent/sshd_settings.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { type Restrictions, UNRESTRICTED } from "../../src/keys/restrictions.ts";

async function config(...lines: string[]): Promise<SshdConfig> {
  const source = { read: () => Promise.resolve(lines.join("\n")), glob: () => Promise.resolve([]) };
  return evaluate(await parseSshdConfig("/sshd_config", source));
}

const limited = (limits: Partial<Restrictions>): Restrictions => ({ ...UNRESTRICTED, ...limits });

Deno.test("a session may do what the file and the key both permit", async () => {
  const open = sessionRights(await config(), UNRESTRICTED);
  assert.deepEqual([open.permitTTY, open.allowAgentForwarding, open.forceCommand], [true, true, null]);
  assert.ok(!sessionRights(await config("PermitTTY no"), UNRESTRICTED).permitTTY);
  assert.ok(!sessionRights(await config(), limited({ permitPty: false })).permitTTY);
  assert.ok(!sessionRights(await config("AllowAgentForwarding no"), UNRESTRICTED).allowAgentForwarding);
  assert.ok(!sessionRights(await config("DisableForwarding yes"), UNRESTRICTED).allowAgentForwarding);
});

Deno.test("ForceCommand wins over the key's command", async () => {
  const key = limited({ forceCommand: "key" });
  assert.equal(sessionRights(await config("ForceCommand file"), key).forceCommand, "file");
  assert.equal(sessionRights(await config(), key).forceCommand, "key");
});

Deno.test("the directions of forwarding are told apart", async () => {
  const rows: [string, boolean, boolean][] = [
    ["AllowTcpForwarding yes", true, true],
    ["AllowTcpForwarding local", true, false],
    ["AllowTcpForwarding remote", false, true],
    ["AllowTcpForwarding no", false, false],
  ];
  for (const [line, dial, listen] of rows) {
    const rights = forwardingRights(await config(line), UNRESTRICTED);
    assert.deepEqual([rights.dial !== undefined, rights.listen !== undefined], [dial, listen], line);
    assert.deepEqual([rights.dialUnix, rights.listenUnix], [true, true], line);
    const unix = forwardingRights(await config(line.replace("Tcp", "StreamLocal")), UNRESTRICTED);
    assert.deepEqual([unix.dialUnix, unix.listenUnix], [dial, listen], line);
  }
  for (const nothing of [await config("DisableForwarding yes"), await config()]) {
    const key = nothing.disableForwarding ? UNRESTRICTED : limited({ permitPortForwarding: false });
    assert.deepEqual(forwardingRights(nothing, key), { dialUnix: false, listenUnix: false });
  }
});

Deno.test("PermitOpen and the key's permitopen hold both", async () => {
  const { dial } = forwardingRights(
    await config("PermitOpen db:5432 web:*"),
    limited({ permitOpen: [{ host: "db", port: 5432 }, { host: "web", port: 80 }] }),
  );
  const rows: [string, number, boolean][] = [["db", 5432, true], ["web", 80, true], ["web", 81, false], [
    "other",
    5432,
    false,
  ]];
  for (const [host, port, permitted] of rows) {
    assert.equal(dial!.permits(host, port), permitted, `${host}:${port}`);
  }
  assert.ok(!forwardingRights(await config("PermitOpen none"), UNRESTRICTED).dial!.permits("db", 1));
  assert.ok(forwardingRights(await config("PermitOpen any"), UNRESTRICTED).dial!.permits("db", 1));
});

Deno.test("GatewayPorts says where listeners are bound", async () => {
  for (const [value, bind] of [["no", "loopback"], ["yes", "any"], ["clientspecified", "asked"]]) {
    assert.equal(forwardingRights(await config(`GatewayPorts ${value}`), UNRESTRICTED).listen!.bind, bind);
  }
  const { listen } = forwardingRights(await config("PermitListen 8080"), UNRESTRICTED);
  assert.deepEqual([listen!.permits("localhost", 8080), listen!.permits("localhost", 8081)], [true, false]);
});

Deno.test("MaxStartups drops nobody, some, everybody", async () => {
  const { maxStartups } = await config("MaxStartups 10:30:60");
  const never = () => 0.999999;
  const always = () => 0;
  assert.ok(!dropsStartup(maxStartups, 9, always));
  assert.ok(dropsStartup(maxStartups, 10, () => 0.29) && !dropsStartup(maxStartups, 10, () => 0.31));
  assert.ok(dropsStartup(maxStartups, 35, () => 0.64) && !dropsStartup(maxStartups, 35, () => 0.66));
  assert.ok(dropsStartup(maxStartups, 60, never));
});

Deno.test("ClientAlive asks, or never does", async () => {
  assert.equal(clientAlive(await config()), undefined);
  assert.equal(clientAlive(await config("ClientAliveInterval 5", "ClientAliveCountMax 0")), undefined);
  assert.deepEqual(clientAlive(await config("ClientAliveInterval 5")), { intervalMs: 5000, misses: 3 });
});

Deno.test("AuthenticationMethods counts keys, and what needs a password cannot be met", () => {
  assert.equal(keysNeeded([]), 1);
  assert.equal(keysNeeded([["publickey", "publickey"]]), 2);
  assert.equal(keysNeeded([["publickey", "password"], ["publickey", "publickey"]]), 2);
  assert.equal(keysNeeded([["publickey", "password"]]), undefined);
});

Deno.test("a server with ECDSA host keys alone offers them, though they are off by default", async () => {
  const ecdsa = await generatePrivateKey("ecdsa-sha2-nistp256");
  const ed25519 = await generatePrivateKey("ssh-ed25519");
  const file = await config();
  assert.ok(!algorithmLists(file, [ecdsa, ed25519]).hostKey.includes("ecdsa-sha2-nistp256"));
  assert.deepEqual(
    algorithmLists(file, [ecdsa]).hostKey.filter((name) => !name.includes("cert")),
    ["ecdsa-sha2-nistp256"],
  );
});

Deno.test("RequiredRSASize is about RSA alone", async () => {
  const settings = await config("RequiredRSASize 3072");
  const rsa = (await generatePrivateKey("ssh-rsa", { bits: 2048 })).publicKey;
  assert.ok(isShortRsa(rsa, settings));
  assert.ok(!isShortRsa(rsa, await config()));
  assert.ok(!isShortRsa((await generatePrivateKey("ssh-ed25519")).publicKey, settings));
});

Deno.test("PubkeyAuthOptions demand of security keys what their lines let go", async () => {
  const lax = limited({ noTouchRequired: true });
  const rows: [line: string, restrictions: Restrictions, touch: boolean, verification: boolean][] = [
    ["PubkeyAuthOptions none", UNRESTRICTED, true, false],
    ["PubkeyAuthOptions none", lax, false, false],
    ["PubkeyAuthOptions touch-required", lax, true, false],
    ["PubkeyAuthOptions verify-required", lax, false, true],
    ["PubkeyAuthOptions none", limited({ verifyRequired: true }), true, true],
  ];
  for (const [line, restrictions, touch, verification] of rows) {
    assert.deepEqual(fidoDemand(await config(line), restrictions), { touch, verification }, line);
  }
});

Deno.test("a key's line sets the variables that PermitUserEnvironment names", async () => {
  const line = limited({
    environment: new Map([["LANG", "C"], ["LC_X", "x"], ["LC_ALL", "C"], ["LD_PRELOAD", "p"]]),
  });
  const rows: [string, string[]][] = [
    ["PermitUserEnvironment no", []],
    ["PermitUserEnvironment LANG,!LC_X,LC_*", ["LANG", "LC_ALL"]],
    ["PermitUserEnvironment yes", ["LANG", "LC_X", "LC_ALL", "LD_PRELOAD"]],
  ];
  for (const [text, names] of rows) {
    assert.deepEqual([...sessionRights(await config(text), line).keyEnv!.keys()], names, text);
  }
});

Deno.test("PerSourceNetBlockSize says which addresses are one source", async () => {
  const { perSourceNetBlockSize } = await config("PerSourceNetBlockSize 24:56");
  const source = (address: string) => sourceOf(address, perSourceNetBlockSize);
  assert.equal(source("192.0.2.1"), source("192.0.2.200"));
  assert.notEqual(source("192.0.2.1"), source("192.0.3.1"));
  assert.equal(source("2001:db8::1"), source("2001:db8:0:ff::1"));
  assert.notEqual(source("2001:db8::1"), source("2001:db8:0:100::1"));
  const { perSourceNetBlockSize: own } = await config();
  assert.notEqual(sourceOf("192.0.2.1", own), sourceOf("192.0.2.2", own));
});

Deno.test("LogLevel leaves as much of the log as sshd would", () => {
  const rows = [["QUIET", []], ["FATAL", ["error"]], ["ERROR", ["warning", "error"]], [
    "INFO",
    ["info", "warning", "error"],
  ], ["DEBUG3", ["info", "warning", "error"]]] as const;
  for (const [level, heard] of rows) {
    const events: string[] = [];
    const log = logAt(level, ({ event }) => events.push(event));
    for (const event of ["info", "warning", "error"] as const) log({ event, message: "" });
    assert.deepEqual(events, heard, level);
  }
});
