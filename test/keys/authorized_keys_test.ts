import assert from "node:assert/strict";
import {
  findAuthorities,
  findAuthorizedKey,
  isUnrestrictedLine,
  parseAuthorizedKeys,
} from "../../src/keys/authorized_keys.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import {
  isUnrestricted,
  mergeRestrictions,
  permitsListen,
  permitsOpen,
  RESTRICTED,
  type Restrictions,
  UNRESTRICTED,
} from "../../src/keys/restrictions.ts";
import { keyFile } from "./tools.ts";

const plain = (await keyFile("ed25519.pub")).trim();
const other = (await keyFile("ecdsa256.pub")).trim();
const key = parsePublicKeyLine(plain).key;

function only(line: string) {
  const { keys, faults } = parseAuthorizedKeys(line);
  assert.deepEqual(faults, []);
  assert.equal(keys.length, 1);
  return keys[0];
}

Deno.test("lines keep their number; comments and blank lines count for nothing", () => {
  const { keys, faults } = parseAuthorizedKeys(`# one\r\n\n  ${plain}\r\n\t# four\npty ${other}`);
  assert.deepEqual(faults, []);
  assert.deepEqual(keys.map(({ line }) => line), [3, 5]);
  assert.equal(keys[0].comment, "c ed25519");
});

Deno.test("each option limits what it says", () => {
  const table: [options: string, restrictions: Partial<Restrictions>][] = [
    ["no-pty", { permitPty: false }],
    ["NO-PTY", { permitPty: false }],
    ["no-port-forwarding", { permitPortForwarding: false }],
    ["no-agent-forwarding", { permitAgentForwarding: false }],
    ["no-X11-forwarding", { permitX11Forwarding: false }],
    ["no-user-rc", { permitUserRc: false }],
    ["no-pty,pty", { permitPty: true }],
    ["restrict", RESTRICTED],
    ["restrict,pty", { ...RESTRICTED, permitPty: true }],
    ["pty,restrict", RESTRICTED],
    ["restrict,port-forwarding,agent-forwarding,x11-forwarding,user-rc,pty", UNRESTRICTED],
    ['command="ls"', { forceCommand: "ls" }],
    ['command="ls",restrict', { ...RESTRICTED, forceCommand: "ls" }],
    ['command=""', { forceCommand: "" }],
    ['command="echo \\"a, b\\" \\n"', { forceCommand: 'echo "a, b" \\n' }],
    ['environment="A=1",environment="B=x=y",environment="A=2"', {
      environment: new Map([["A", "1"], ["B", "x=y"]]),
    }],
    ['permitopen="h:22",permitopen="[::1]:*"', {
      permitOpen: [{ host: "h", port: 22 }, { host: "::1", port: undefined }],
    }],
    ['permitlisten="8080",permitlisten="localhost:*"', {
      permitListen: [{ host: "*", port: 8080 }, { host: "localhost", port: undefined }],
    }],
    ['tunnel="0"', { tunnel: "0" }],
    ["no-touch-required", { noTouchRequired: true }],
    ["verify-required", { verifyRequired: true }],
  ];
  for (const [options, expected] of table) {
    const { restrictions } = only(`${options} ${plain}`);
    const environment = (value: Restrictions) => [...value.environment].sort();
    const whole = { ...UNRESTRICTED, ...expected };
    assert.deepEqual(environment(restrictions), environment(whole), options);
    assert.deepEqual({ ...restrictions, environment: 0 }, { ...whole, environment: 0 }, options);
  }
});

Deno.test("a line that is wrong in any way grants nothing and says why", () => {
  const wrong: [line: string, reason: RegExp][] = [
    [`frobnicate ${plain}`, /`frobnicate` is not known/],
    [`no-pty,frobnicate="x" ${plain}`, /not known/],
    [`command ${plain}`, /needs a value/],
    [`no-pty="x" ${plain}`, /takes no value/],
    [`command="ls ${plain}`, /not closed/],
    [`command="a",command="a" ${plain}`, /twice/],
    [`from="a",from="b" ${plain}`, /twice/],
    [`no-pty, ${plain}`, /cannot be read/],
    [`,no-pty ${plain}`, /cannot be read/],
    [`no-pty,,pty ${plain}`, /cannot be read/],
    [`environment="1" ${plain}`, /NAME=value/],
    [`environment="A-B=1" ${plain}`, /NAME=value/],
    [`permitopen="22" ${plain}`, /host:port/],
    [`permitopen="h:0" ${plain}`, /range/],
    [`permitopen="h:70000" ${plain}`, /range/],
    [`permitopen="::1:22" ${plain}`, /host:port/],
    [`tunnel="x" ${plain}`, /device/],
    [`principals="a" ${plain}`, /without `cert-authority`/],
    [`cert-authority,principals="a,,b" ${plain}`, /empty/],
    [`expiry-time="2027" ${plain}`, /YYYYMMDD/],
    [`expiry-time="20270229" ${plain}`, /no such day/],
    [`expiry-time="202701012400" ${plain}`, /no such time/],
    ["ssh-dss AAAAB3NzaC1kc3MAAACB", /not supported/],
    ["no-pty", /neither a key/],
    [plain.replace("AAAA", "AAAB"), /./],
    [`${plain.split(" ")[0]}`, /./],
  ];
  for (const [line, reason] of wrong) {
    const { keys, faults } = parseAuthorizedKeys(`${other}\n${line}`);
    assert.deepEqual(keys.map((entry) => entry.line), [1], line);
    assert.equal(faults.length, 1);
    assert.equal(faults[0].line, 2);
    assert.match(faults[0].reason, reason, line);
  }
});

Deno.test("from and expiry-time decide whether a line counts, and the next may still let the key in", () => {
  const { keys } = parseAuthorizedKeys(
    [
      `from="",command="nowhere" ${plain}`,
      `from="10.0.0.0/8",command="inside" ${plain}`,
      `expiry-time="20270101Z",command="early" ${plain}`,
      `cert-authority ${plain}`,
    ].join("\n"),
  );
  const found = (address: string | undefined, time: string) =>
    findAuthorizedKey(keys, key, { address, now: Date.parse(time) })?.restrictions.forceCommand;
  assert.equal(found("10.1.1.1", "2026-06-01"), "inside");
  assert.equal(found("192.0.2.1", "2026-06-01"), "early");
  assert.equal(found(undefined, "2026-12-31T23:59:59.999Z"), "early");
  assert.equal(found("192.0.2.1", "2027-01-01T00:00:00Z"), undefined);
  assert.equal(found("10.1.1.1", "2030-01-01"), "inside");
  assert.equal(findAuthorizedKey(keys, parsePublicKeyLine(other).key, { now: 0 }), undefined);
});

Deno.test("expiry-time is UTC with Z, local without, to the second", () => {
  assert.equal(only(`expiry-time="20270102030405Z" ${plain}`).expiresAt, Date.UTC(2027, 0, 2, 3, 4, 5));
  assert.equal(only(`expiry-time="202701020304" ${plain}`).expiresAt, new Date(2027, 0, 2, 3, 4).getTime());
  const earliest = only(`expiry-time="20280101Z",expiry-time="20270101Z" ${plain}`);
  assert.equal(earliest.expiresAt, Date.UTC(2027, 0, 1));
});

Deno.test("an authority is no login key, and a login key no authority", () => {
  const { keys } = parseAuthorizedKeys(`cert-authority,principals="ann,ops" ${plain}\n${other}`);
  const now = { now: 0 };
  assert.equal(findAuthorizedKey(keys, key, now), undefined);
  assert.deepEqual(findAuthorities(keys, key, now).map(({ principals }) => principals), [["ann", "ops"]]);
  assert.deepEqual(findAuthorities(keys, parsePublicKeyLine(other).key, now), []);
});

Deno.test("a line is unrestricted when nothing limits when, whence, what or how", () => {
  for (
    const options of [
      "",
      "no-touch-required ",
      'environment="A=1" ',
      "restrict,pty,user-rc,port-forwarding,agent-forwarding,x11-forwarding ",
    ]
  ) {
    assert.equal(isUnrestrictedLine(only(options + plain)), true, options);
  }
  const limited = [
    "no-pty",
    "restrict",
    "cert-authority",
    'from="*"',
    'expiry-time="29990101"',
    'command="sh"',
    'permitopen="*:*"',
    'permitlisten="1"',
    'tunnel="1"',
    "verify-required",
    "no-user-rc",
    "no-port-forwarding",
    "no-agent-forwarding",
    "no-x11-forwarding",
  ];
  for (const options of limited) {
    assert.equal(isUnrestrictedLine(only(`${options} ${plain}`)), false, options);
  }
});

Deno.test("permitopen is literal, permitlisten takes patterns", () => {
  const { restrictions } = only(
    `permitopen="h:22",permitopen="*:80",permitopen="db:*",permitlisten="8080",permitlisten="127.0.0.*:*" ${plain}`,
  );
  assert.equal(permitsOpen(restrictions, "h", 22), true);
  assert.equal(permitsOpen(restrictions, "h", 23), false);
  assert.equal(permitsOpen(restrictions, "any", 80), true);
  assert.equal(permitsOpen(restrictions, "db", 5432), true);
  assert.equal(permitsOpen(restrictions, "d?", 5432), false);
  assert.equal(permitsListen(restrictions, "", 8080), true);
  assert.equal(permitsListen(restrictions, "127.0.0.1", 1), true);
  assert.equal(permitsListen(restrictions, "0.0.0.0", 1), false);
  assert.equal(permitsOpen(UNRESTRICTED, "x", 1), true);
  assert.equal(permitsListen(UNRESTRICTED, "x", 1), true);
});

Deno.test("two sets of restrictions merge into what both permit, or into nothing", () => {
  assert.deepEqual(mergeRestrictions(UNRESTRICTED, RESTRICTED)?.permitPty, false);
  assert.equal(isUnrestricted(mergeRestrictions(UNRESTRICTED, UNRESTRICTED)!), true);
  const a: Restrictions = {
    ...UNRESTRICTED,
    forceCommand: "a",
    permitOpen: [{ host: "h", port: 1 }, { host: "i", port: 1 }],
  };
  const b: Restrictions = {
    ...UNRESTRICTED,
    verifyRequired: true,
    noTouchRequired: true,
    permitOpen: [{ host: "i", port: 1 }],
  };
  const merged = mergeRestrictions(a, b)!;
  assert.equal(merged.forceCommand, "a");
  assert.equal(merged.verifyRequired, true);
  assert.equal(merged.noTouchRequired, false);
  assert.deepEqual(merged.permitOpen, [{ host: "i", port: 1 }]);
  assert.equal(mergeRestrictions(a, { ...UNRESTRICTED, forceCommand: "b" }), undefined);
  assert.equal(mergeRestrictions(a, a)?.forceCommand, "a");
});
