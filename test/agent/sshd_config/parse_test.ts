import assert from "node:assert/strict";
import fc from "fast-check";
import { type ConfigSource, parseSshdConfig } from "../../../src/agent/sshd_config/parse.ts";
import { evaluate, type SshdConfig } from "../../../src/agent/sshd_config/evaluate.ts";
import { SshdConfigError } from "../../../src/agent/sshd_config/error.ts";
import { joinArguments, splitArguments, splitLine } from "../../../src/agent/sshd_config/lexer.ts";
import type { LoginContext } from "../../../src/agent/sshd_config/match.ts";
import { refusal, rootRefusal } from "../../../src/agent/sshd_config/access.ts";
import { checkAddressList } from "../../../src/agent/sshd_config/patterns.ts";
import { matchesPattern } from "../../../src/keys/patterns.ts";
import { expandCommand, expandTokens, expandUserPath } from "../../../src/agent/sshd_config/expand.ts";
import { keywords } from "../../../src/agent/sshd_config/keywords.ts";
import { unsupported } from "../../../src/agent/sshd_config/unsupported.ts";
import { parseSeconds } from "../../../src/agent/sshd_config/values.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";

/** Files in memory; a glob matches by prefix up to `*`. */
function files(contents: Record<string, string>): ConfigSource {
  return {
    read: (path) =>
      path in contents ? Promise.resolve(contents[path]) : Promise.reject(new Error("no such file")),
    glob: (pattern) =>
      Promise.resolve(Object.keys(contents).filter((path) => matchesPattern(path, pattern)).sort()),
  };
}

const parse = (text: string, more: Record<string, string> = {}) =>
  parseSshdConfig("/c", files({ "/c": text, ...more }));

const login: LoginContext = {
  user: "root",
  groups: ["root", "wheel"],
  host: "h.example",
  address: "1.2.3.4",
  localAddress: "10.0.0.1",
  localPort: 2222,
};

const effective = async (text: string, context?: LoginContext): Promise<SshdConfig> =>
  evaluate(await parse(text), context);

Deno.test("a line is keyword and rest, in all the ways to separate them", () => {
  const table: [string, ReturnType<typeof splitLine>][] = [
    ["", undefined],
    ["   # comment", undefined],
    ["Port 22", { keyword: "Port", rest: "22" }],
    ["\t Port\t22 \r", { keyword: "Port", rest: "22" }],
    ["Port=22", { keyword: "Port", rest: "22" }],
    ["Port = 22", { keyword: "Port", rest: "22" }],
    ['"Port" 22', { keyword: "Port", rest: "22" }],
    ["Port", { keyword: "Port", rest: "" }],
    ['Banner "/a b"', { keyword: "Banner", rest: '"/a b"' }],
  ];
  for (const [text, expected] of table) assert.deepEqual(splitLine(text), expected, text);
});

Deno.test("arguments have quotes, escapes and comments", () => {
  const table: [string, string[]][] = [
    ["a b\tc", ["a", "b", "c"]],
    ['"a b" c', ["a b", "c"]],
    ["'a \"b'", ['a "b']],
    ['a"b c"d', ["ab cd"]],
    ["a\\ b", ["a b"]],
    ['a\\"b', ['a"b']],
    ["a\\nb", ["a\\nb"]],
    ["a # b", ["a"]],
    ["a#b", ["a#b"]],
    ['"# no" x', ["# no", "x"]],
    ['""', [""]],
    ["", []],
  ];
  for (const [text, expected] of table) assert.deepEqual(splitArguments(text), expected, text);
  for (const text of ['"a', "'a", 'a "b" "']) assert.throws(() => splitArguments(text), TypeError);
});

Deno.test("joined arguments split into the same again", () => {
  fc.assert(fc.property(fc.array(fc.string()), (args) => {
    assert.deepEqual(splitArguments(joinArguments(args)), args);
  }));
});

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

Deno.test("the first value counts, lists add up, and a matching block replaces what is outside", async () => {
  const text = `
    PermitTTY no
    PermitTTY yes
    AcceptEnv A
    AcceptEnv B C
    AllowUsers x
    Match User root
      PermitTTY yes
      AllowUsers root
      SetEnv A=1
    Match Group wheel
      PermitTTY no
      AllowUsers wheel
      ForceCommand  echo "a  b"  # not a comment
    Match User bob
      X11Forwarding no
      Banner /bob
  `;
  const outside = await effective(text);
  assert.deepEqual([outside.permitTTY, outside.acceptEnv, outside.allowUsers], [false, ["A", "B", "C"], [
    "x",
  ]]);
  const inside = await effective(text, login);
  assert.deepEqual([inside.permitTTY, inside.allowUsers], [true, ["root", "wheel"]]);
  assert.equal(inside.forceCommand, 'echo "a  b"  # not a comment');
  assert.deepEqual([...inside.setEnv], [["A", "1"]]);
  assert.equal(inside.banner, null);
  assert.equal((await effective(text, { ...login, user: "bob", groups: [] })).banner, "/bob");
});

Deno.test("Match knows its criteria, together, negated and in any case", async () => {
  const table: [string, boolean][] = [
    ["User root", true],
    ["user=root", true],
    ["User = root", true],
    ["User root,bob", true],
    ["User !root", false],
    ["User *,!root", false],
    ["User Root", false],
    ["Group wheel", true],
    ["Group users", false],
    ["Group *,!root", false],
    ["Host *.EXAMPLE", true],
    ["Address 1.2.3.0/24", true],
    ["Address 1.2.4.0/24,1.2.*", true],
    ["LocalAddress 10.0.0.0/8", true],
    ["LocalPort 2222", true],
    ["LocalPort 22", false],
    ["User root Address 9.9.9.9", false],
    ["User root Address 1.2.3.4 LocalPort 2222", true],
    ["All", true],
    ["invalid-user", false],
  ];
  for (const [criteria, expected] of table) {
    const config = await effective(`Match ${criteria}\nPermitTTY no`, login);
    assert.equal(config.permitTTY, !expected, criteria);
  }
  const nobody = { ...login, groups: undefined };
  assert.equal((await effective("Match invalid-user\nPermitTTY no", nobody)).permitTTY, false);
});

Deno.test("Include takes all that match, in order, where it stands; a Match ends with its file", async () => {
  const included = {
    "/etc/ssh/d/2.conf": "Banner /two\nPermitTTY no",
    "/etc/ssh/d/1.conf": "Banner /one\nMatch User root\nMaxSessions 7\nMatch User other\nMaxSessions 8",
    "/x/match.conf": "ForceCommand inner\nMatch User bob\nGatewayPorts yes",
  };
  const text =
    "Include d/*.conf /none/*.conf\nMaxSessions 9\nMatch User root\nInclude /x/match.conf\nBanner /m";
  const parsed = await parse(text, included);
  assert.equal(evaluate(parsed).banner, "/one");
  assert.equal(evaluate(parsed).permitTTY, false);
  assert.equal(evaluate(parsed).maxSessions, 9);
  const root = evaluate(parsed, login);
  assert.deepEqual([root.maxSessions, root.forceCommand, root.banner], [7, "inner", "/m"]);
  // Inside "Match User root", a "Match User bob" of an included file can never hold.
  assert.equal(evaluate(parsed, { ...login, user: "bob" }).gatewayPorts, "no");
});

Deno.test("an error names file and line, also in included files and in blocks that never match", async () => {
  const table: [string, string][] = [
    ["\nPermitTTY maybe", "/c:2: PermitTTY is one of yes, no, not 'maybe'"],
    ["Prot 22", "/c:1: there is no keyword 'Prot'"],
    ["Port", "/c:1: Port needs an argument"],
    ["Port # 22", "/c:1: Port needs an argument"],
    ["Port 22 23", "/c:1: Port takes one argument; '23' is too much"],
    ['Banner "a', "/c:1: a quote is not closed"],
    ["Match User x\nPort 22", "/c:2: Port is not allowed within a Match block"],
    ["Match User x\nPermitTTY maybe", "/c:2: PermitTTY is one of yes, no, not 'maybe'"],
    ["Match RDomain x", "/c:1: Match RDomain is not supported: there are no routing domains"],
    ["Match User", "/c:1: Match User needs an argument"],
    ["Match Foo x", "/c:1: Match does not know 'Foo'"],
    ["Match All User x", "/c:1: Match all stands alone"],
    ["Match Address 1.2.3.4/8", "/c:1: '1.2.3.4/8' is not an address range, or has bits set beyond its mask"],
    ["Include /i", "/i:2: '5x' is not a time"],
    [
      "ChrootDirectory /x",
      "/c:1: ChrootDirectory /x would confine sessions, and nothing here does: take the line out to go without",
    ],
  ];
  for (const [text, message] of table) {
    await assert.rejects(parse(text, { "/i": "#\nLoginGraceTime 5x" }), (error) => {
      assert.ok(error instanceof SshdConfigError);
      assert.equal(error.message, message);
      return true;
    }, text);
  }
  await assert.rejects(
    parseSshdConfig("/none", files({})),
    /^SshdConfigError: \/none: cannot be read: no such file$/,
  );
});

Deno.test("an Include that includes itself ends", async () => {
  await assert.rejects(parse("Include /c"), /deeper than 16/);
});

Deno.test("every value that OpenSSH refuses is refused", async () => {
  const wrong = [
    "Port 0",
    "Port 70000",
    "Port -1",
    "ListenAddress 1.2.3.4:0",
    "ListenAddress [::1]:9 rdomain x",
    "LoginGraceTime none",
    "LoginGraceTime",
    "LoginGraceTime 1y",
    "ClientAliveInterval none",
    "MaxAuthTries -1",
    "MaxAuthTries 0x10",
    "MaxStartups 0",
    "MaxStartups 10:50:5",
    "MaxStartups 10:101:50",
    "MaxStartups 10:0:50",
    "RekeyLimit 15",
    "RekeyLimit 1G none x",
    "RekeyLimit none 1h",
    "RekeyLimit 1X",
    "AcceptEnv A=b",
    "SetEnv A",
    "SetEnv =x",
    "PermitOpen foo",
    "PermitOpen foo:80 any",
    "PermitOpen foo:99999",
    "PermitListen host",
    "PermitListen 80 any",
    "AuthorizedKeysCommand foo",
    "AuthenticationMethods foo",
    "AuthenticationMethods any publickey",
    "AllowUsers a@1.2.3.4/8",
    "LogLevel FOO",
    "PermitRootLogin maybe",
    "AllowTcpForwarding perhaps",
    "GatewayPorts maybe",
    "Subsystem sftp",
    "Ciphers foo",
    "MACs umac-64@openssh.com",
    "KexAlgorithms ",
    "AddressFamily ipx",
    "StrictModes 1",
  ];
  for (const line of wrong) await assert.rejects(parse(line), SshdConfigError, line);
});

Deno.test("what would weaken the server is refused, its harmless form is not", async () => {
  const table: [refused: string, harmless: string][] = [
    ["ChrootDirectory %h", "ChrootDirectory none"],
    ["PerSourcePenalties authfail:5s", "PerSourcePenalties no"],
    ["ChannelTimeout session:*=5m", "ChannelTimeout none"],
    ["UnusedConnectionTimeout 5m", "UnusedConnectionTimeout none"],
    ["RefuseConnection yes", "RefuseConnection no"],
    ["HostKeyAgent SSH_AUTH_SOCK", "HostKeyAgent none"],
    ["StreamLocalBindMask 0777", "StreamLocalBindMask 0077"],
    ["Protocol 1", "Protocol 2"],
    ["UseLogin yes", "UseLogin no"],
  ];
  for (const [refused, harmless] of table) {
    await assert.rejects(parse(refused), SshdConfigError, refused);
    assert.deepEqual((await parse(harmless)).warnings, [], harmless);
  }
});

Deno.test("what has no effect is warned about, once a keyword", async () => {
  const { warnings } = await parse(
    "PrintMotd no\nUseDNS yes\nprintmotd yes\nCiphers aes256-ctr,aes256-cbc,3des-cbc",
  );
  assert.deepEqual(warnings, [
    "/c:1: PrintMotd has no effect: no message of the day is printed",
    "/c:2: UseDNS has no effect: client addresses are not looked up, patterns of names match addresses",
    "/c:4: Ciphers: aes256-cbc, 3des-cbc not supported here, left out",
  ]);
});

Deno.test("the file that Debian installs is accepted, and says what it will not do", async () => {
  const text =
    "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\n" +
    "PrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n";
  const parsed = await parse(text);
  assert.deepEqual(parsed.warnings.map((sentence) => sentence.split(" ")[1]), [
    "UsePAM",
    "X11Forwarding",
    "PrintMotd",
  ]);
  assert.equal(evaluate(parsed).subsystems.get("sftp"), "/usr/lib/openssh/sftp-server");
});

/** What distributions install and hardening guides hand out, without the comments. */
const handedOut: Record<string, string> = {
  "RHEL and Fedora with their crypto policy": `AuthorizedKeysFile\t.ssh/authorized_keys
Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr
MACs hmac-sha2-256-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-512
GSSAPIKexAlgorithms gss-curve25519-sha256-,gss-nistp256-sha256-,gss-group14-sha256-
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256
HostKeyAlgorithms ecdsa-sha2-nistp256,sk-ssh-ed25519@openssh.com,ssh-ed25519-cert-v01@openssh.com,ssh-ed25519
PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512,sk-ssh-ed25519-cert-v01@openssh.com
CASignatureAlgorithms ecdsa-sha2-nistp256,sk-ecdsa-sha2-nistp256@openssh.com,ssh-ed25519,rsa-sha2-512
RequiredRSASize 2048
SyslogFacility AUTHPRIV
ChallengeResponseAuthentication no
GSSAPIAuthentication yes
GSSAPICleanupCredentials no
UsePAM yes
X11Forwarding yes
PrintMotd no
Subsystem\tsftp\t/usr/libexec/openssh/sftp-server`,
  "Alpine": `AuthorizedKeysFile\t.ssh/authorized_keys
AllowTcpForwarding no
GatewayPorts no
X11Forwarding no
Subsystem\tsftp\tinternal-sftp`,
  "macOS": `Include /etc/ssh/sshd_config.d/*
AuthorizedKeysFile\t.ssh/authorized_keys
UsePAM yes
AcceptEnv LANG LC_*
Subsystem\tsftp\t/usr/libexec/sftp-server`,
  "the guide of ssh-audit": `HostKey /etc/ssh/ssh_host_rsa_key
HostKey /etc/ssh/ssh_host_ed25519_key
KexAlgorithms sntrup761x25519-sha512@openssh.com,gss-curve25519-sha256-,curve25519-sha256,diffie-hellman-group16-sha512
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com
RequiredRSASize 3072
HostKeyAlgorithms sk-ssh-ed25519-cert-v01@openssh.com,ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512
CASignatureAlgorithms sk-ssh-ed25519@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256
GSSAPIKexAlgorithms gss-curve25519-sha256-,gss-group16-sha512-
HostbasedAcceptedAlgorithms ssh-ed25519,rsa-sha2-512
PubkeyAcceptedAlgorithms sk-ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256
PerSourceMaxStartups 1`,
  "the CIS benchmark": `AllowUsers app deploy@10.0.0.0/8
Banner /etc/issue.net
ClientAliveCountMax 3
ClientAliveInterval 15
Ciphers -3des-cbc,aes128-cbc,aes192-cbc,aes256-cbc
DenyGroups nogroup
DisableForwarding yes
GSSAPIAuthentication no
HostbasedAuthentication no
IgnoreRhosts yes
KexAlgorithms -diffie-hellman-group1-sha1,diffie-hellman-group14-sha1
LoginGraceTime 60
LogLevel VERBOSE
MACs -hmac-md5,hmac-sha1-96,umac-64@openssh.com
MaxAuthTries 4
MaxSessions 10
MaxStartups 10:30:60
PermitEmptyPasswords no
PermitRootLogin no
PermitUserEnvironment no
UsePAM yes`,
  "Mozilla's modern file":
    `KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes192-ctr
MACs hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com
AuthenticationMethods publickey
LogLevel VERBOSE
Subsystem sftp  /usr/lib/ssh/sftp-server -f AUTHPRIV -l INFO
PermitRootLogin No
UsePrivilegeSeparation sandbox`,
  "the STIG of RHEL": `Compression no
PrintLastLog yes
X11UseLocalhost yes
StrictModes yes
KerberosAuthentication no
RekeyLimit 1G 1h
ClientAliveInterval 600
ClientAliveCountMax 1
HostbasedAuthentication no
IgnoreUserKnownHosts yes
Banner /etc/issue`,
};

Deno.test("files that distributions and guides hand out are accepted as they are", async () => {
  for (const [name, text] of Object.entries(handedOut)) {
    await assert.doesNotReject(async () => evaluate(await parse(text)), name);
  }
  const audit = await effective(handedOut["the guide of ssh-audit"]);
  assert.deepEqual([audit.requiredRSASize, audit.perSourceMaxStartups], [3072, 1]);
});

Deno.test("who relies on passwords or on ~/.ssh/environment is told that they do nothing", async () => {
  const { warnings } = await parse(
    "PasswordAuthentication yes\nKbdInteractiveAuthentication no\nPermitUserEnvironment yes",
  );
  assert.deepEqual(warnings, [
    "/c:1: PasswordAuthentication yes has no effect: passwords are never taken here",
    "/c:3: PermitUserEnvironment: ~/.ssh/environment is not read, lines of authorized_keys count",
  ]);
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

Deno.test("no text makes the parser do anything but answer or refuse with a position", async () => {
  const word = fc.oneof(
    fc.constantFrom(
      ...Object.keys(keywords),
      ...Object.keys(unsupported),
      "match",
      "include",
      "yes",
      "no",
      "none",
      "=",
      '"',
      "'",
      "#",
      "\\",
      "1.2.3.4/8",
      "user",
      "*",
      "\t",
      "1h",
      "a:b",
    ),
    fc.string(),
  );
  const text = fc.array(fc.array(word, { maxLength: 5 }).map((words) => words.join(" "))).map((lines) =>
    lines.join("\n")
  );
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      try {
        evaluate(await parse(text), login);
      } catch (error) {
        if (!(error instanceof SshdConfigError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
