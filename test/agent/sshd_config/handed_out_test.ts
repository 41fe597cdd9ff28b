/** Configurations as people have them: what is refused in them, what is accepted, and what is said of it. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/agent/sshd_config/evaluate.ts";
import { SshdConfigError } from "../../../src/agent/sshd_config/error.ts";
import { effective, parse } from "./in_memory.ts";

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
