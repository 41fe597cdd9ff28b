/** What single keywords say, and what comes of it. */
import assert from "node:assert/strict";
import { refusal, rootRefusal } from "../../../src/agent/sshd_config/access.ts";
import { checkAddressList } from "../../../src/agent/sshd_config/patterns.ts";
import { expandCommand, expandTokens, expandUserPath } from "../../../src/agent/sshd_config/expand.ts";
import { keywords } from "../../../src/agent/sshd_config/keywords.ts";
import { unsupported } from "../../../src/agent/sshd_config/unsupported.ts";
import { parseSeconds } from "../../../src/agent/sshd_config/values.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { effective, login } from "./in_memory.ts";

Deno.test("an address list with a range that is none is an error", () => {
  for (const right of ["10.0.0.0/8,!10.1.*", "2001:db8::/32", "*", "host.example"]) checkAddressList(right);
  for (
    const wrong of [
      "10.0.0.1/8",
      "10.0.0.0/33",
      "10.0/8",
      "x/8",
      "2001:db8::1/32",
      "10.0.0.0/",
      "a,!1.2.3.4/8",
    ]
  ) {
    assert.throws(() => checkAddressList(wrong), TypeError, wrong);
  }
});

Deno.test("a keyword is either implemented or explained, never both", () => {
  assert.deepEqual(Object.keys(keywords).filter((name) => name in unsupported), []);
  for (const name of [...Object.keys(keywords), ...Object.keys(unsupported)]) {
    assert.equal(name, name.toLowerCase());
  }
});

Deno.test("older names of keywords work", async () => {
  const config = await effective("PubkeyAcceptedKeyTypes ssh-ed25519\nChallengeResponseAuthentication no");
  assert.deepEqual(config.pubkeyAcceptedAlgorithms, ["ssh-ed25519"]);
  assert.equal(config.kbdInteractiveAuthentication, false);
});

Deno.test("algorithm lists change the library's own, and one that leaves nothing is refused", async () => {
  const { cipher, kex } = defaultAlgorithms;
  const config = await effective(
    "KexAlgorithms +ecdh-sha2-nistp256\nCiphers -*-ctr,3des-cbc\nMACs hmac-sha2-512",
  );
  assert.deepEqual(config.kexAlgorithms, [...kex, "ecdh-sha2-nistp256"]);
  assert.deepEqual(config.ciphers, cipher.filter((name) => !name.endsWith("-ctr")));
  assert.deepEqual(config.macs, ["hmac-sha2-512"]);
  for (const line of ["CASignatureAlgorithms ssh-rsa", "MACs -*"]) {
    await assert.rejects(effective(line), /supported here/, line);
  }
});

Deno.test("times add up", () => {
  for (
    const [text, expected] of [["600", 600], ["10m", 600], ["1h30m", 5400], ["1W2d", 777600], [
      "0",
      0,
    ]] as const
  ) {
    assert.equal(parseSeconds(text), expected);
  }
  for (const text of ["", "m", "1h30x", "-5", "1.5h", "99999999w"]) {
    assert.throws(() => parseSeconds(text), TypeError);
  }
});

Deno.test("tokens are replaced, unknown ones are errors, and values never become arguments", () => {
  const user = { name: "a b", uid: 7, home: "/home/a" };
  assert.equal(expandUserPath(".ssh/%u-%U%%", user), "/home/a/.ssh/a b-7%");
  assert.equal(expandUserPath("/keys/%u", user), "/keys/a b");
  assert.equal(expandUserPath("%h/keys", user), "/home/a/keys");
  assert.deepEqual(expandCommand('/bin/x "%u" %k', user, { k: "AAAA B" }), {
    file: "/bin/x",
    args: ["a b", "AAAA B"],
  });
  assert.deepEqual(expandCommand("/bin/x", user, {}), { file: "/bin/x", args: ["a b"] });
  for (const text of ["%z", "%", "a%"]) assert.throws(() => expandTokens(text, { u: "x" }), TypeError);
  assert.throws(() => expandTokens("%constructor", {}), TypeError);
});

Deno.test("Allow and Deny Users and Groups are asked in OpenSSH's order", () => {
  const none = { allowUsers: [], denyUsers: [], allowGroups: [], denyGroups: [] };
  const table: [Partial<typeof none> | Record<string, string[]>, boolean][] = [
    [{}, true],
    [{ denyUsers: ["root"] }, false],
    [{ denyUsers: ["root"], allowUsers: ["root"] }, false],
    [{ allowUsers: ["bob"] }, false],
    [{ allowUsers: ["bob", "ro*"] }, true],
    [{ allowUsers: ["root@1.2.3.0/24"] }, true],
    [{ allowUsers: ["root@9.9.9.9"] }, false],
    [{ allowUsers: ["root@*.example"] }, true],
    [{ allowUsers: ["root@*.example,!1.2.3.4"] }, false],
    [{ allowGroups: ["wheel"] }, true],
    [{ allowGroups: ["users"] }, false],
    [{ denyGroups: ["wh*"] }, false],
    [{ allowUsers: ["root"], denyGroups: ["root"] }, false],
  ];
  for (const [settings, allowed] of table) {
    assert.equal(refusal({ ...none, ...settings }, login) === undefined, allowed, JSON.stringify(settings));
  }
});

Deno.test("PermitRootLogin decides by method and forced command", () => {
  const table: ["yes" | "no" | "prohibit-password" | "forced-commands-only", string, boolean, boolean][] = [
    ["yes", "password", false, true],
    ["prohibit-password", "password", false, false],
    ["prohibit-password", "publickey", false, true],
    ["forced-commands-only", "publickey", false, false],
    ["forced-commands-only", "publickey", true, true],
    ["forced-commands-only", "password", true, false],
    ["no", "publickey", true, false],
  ];
  for (const [permitRootLogin, method, forced, allowed] of table) {
    assert.equal(rootRefusal({ permitRootLogin }, method, forced) === undefined, allowed);
  }
});
