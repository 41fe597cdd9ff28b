/** What `sshd -T` makes of a file, and what we make of it. */
import assert from "node:assert/strict";
import { evaluate, type SshdConfig } from "../../../src/agent/sshd_config/evaluate.ts";
import { parseSshdConfig } from "../../../src/agent/sshd_config/parse.ts";
import type { LoginContext } from "../../../src/agent/sshd_config/match.ts";
import type { Permitted } from "../../../src/agent/sshd_config/values.ts";
import { fileConfigSource } from "../../../src/deno/config_source.ts";
import { type Folder, sharedFolder } from "../../support/folder.ts";
import { makeKey } from "../../support/keygen.ts";
import { openssh, opensshNewest, type Peer, peerTest } from "../../support/peers.ts";
import { run } from "../../support/process.ts";

const yesNo = (value: boolean) => [value ? "yes" : "no"];
const orNone = (value: string | null) => [value ?? "none"];
const listOrNone = (values: readonly string[]) => [values.length === 0 ? "none" : values.join(" ")];
const permitted = (value: Permitted) =>
  value === "any" ? ["any"] : listOrNone(
    value.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`),
  );

/** The lines of `sshd -T` by keyword: what each says of our configuration. */
const dump: Record<string, (config: SshdConfig) => readonly string[]> = {
  port: ({ ports }) => ports.map(String),
  listenaddress: ({ listen }) =>
    listen.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`),
  addressfamily: ({ addressFamily }) => [addressFamily],
  pidfile: ({ pidFile }) => orNone(pidFile),
  hostkey: ({ hostKeys }) => hostKeys,
  rekeylimit: ({ rekeyLimit }) => [`${rekeyLimit.bytes} ${rekeyLimit.seconds}`],
  clientaliveinterval: ({ clientAliveInterval }) => [`${clientAliveInterval}`],
  clientalivecountmax: ({ clientAliveCountMax }) => [`${clientAliveCountMax}`],
  logingracetime: ({ loginGraceTime }) => [`${loginGraceTime}`],
  maxauthtries: ({ maxAuthTries }) => [`${maxAuthTries}`],
  maxsessions: ({ maxSessions }) => [`${maxSessions}`],
  maxstartups: ({ maxStartups: { start, rate, full } }) => [`${start}:${rate}:${full}`],
  persourcemaxstartups: ({ perSourceMaxStartups }) => [`${perSourceMaxStartups ?? "none"}`],
  persourcenetblocksize: ({ perSourceNetBlockSize: { ipv4, ipv6 } }) => [`${ipv4}:${ipv6}`],
  requiredrsasize: ({ requiredRSASize }) => [`${requiredRSASize}`],
  pubkeyauthoptions: ({ pubkeyAuthOptions }) => listOrNone(pubkeyAuthOptions),
  permituserenvironment: ({ permitUserEnvironment }) => [
    permitUserEnvironment === null ? "no" : permitUserEnvironment === "*" ? "yes" : permitUserEnvironment,
  ],
  loglevel: ({ logLevel }) => [logLevel.replace("DEBUG1", "DEBUG")],
  authorizedkeysfile: ({ authorizedKeysFiles }) => listOrNone(authorizedKeysFiles),
  authorizedkeyscommand: ({ authorizedKeysCommand }) => orNone(authorizedKeysCommand),
  authorizedkeyscommanduser: ({ authorizedKeysCommandUser }) => orNone(authorizedKeysCommandUser),
  trustedusercakeys: ({ trustedUserCAKeys }) => orNone(trustedUserCAKeys),
  authorizedprincipalsfile: ({ authorizedPrincipalsFile }) => orNone(authorizedPrincipalsFile),
  authorizedprincipalscommand: ({ authorizedPrincipalsCommand }) => orNone(authorizedPrincipalsCommand),
  revokedkeys: ({ revokedKeys }) => orNone(revokedKeys),
  pubkeyauthentication: ({ pubkeyAuthentication }) => yesNo(pubkeyAuthentication),
  passwordauthentication: ({ passwordAuthentication }) => yesNo(passwordAuthentication),
  kbdinteractiveauthentication: ({ kbdInteractiveAuthentication }) => yesNo(kbdInteractiveAuthentication),
  authenticationmethods: ({ authenticationMethods }) => [
    authenticationMethods.length === 0
      ? "any"
      : authenticationMethods.map((list) => list.join(",")).join(" "),
  ],
  permitrootlogin: ({ permitRootLogin }) => [
    permitRootLogin === "prohibit-password" ? "without-password" : permitRootLogin,
  ],
  strictmodes: ({ strictModes }) => yesNo(strictModes),
  allowusers: ({ allowUsers }) => allowUsers,
  denyusers: ({ denyUsers }) => denyUsers,
  allowgroups: ({ allowGroups }) => allowGroups,
  denygroups: ({ denyGroups }) => denyGroups,
  banner: ({ banner }) => orNone(banner),
  acceptenv: ({ acceptEnv }) => acceptEnv,
  setenv: ({ setEnv }) => [...setEnv].map(([name, value]) => `${name}=${value}`),
  permittty: ({ permitTTY }) => yesNo(permitTTY),
  forcecommand: ({ forceCommand }) => orNone(forceCommand),
  subsystem: ({ subsystems }) => [...subsystems].map(([name, command]) => `${name} ${command}`),
  disableforwarding: ({ disableForwarding }) => yesNo(disableForwarding),
  allowagentforwarding: ({ allowAgentForwarding }) => yesNo(allowAgentForwarding),
  allowtcpforwarding: ({ allowTcpForwarding }) => [allowTcpForwarding],
  allowstreamlocalforwarding: ({ allowStreamLocalForwarding }) => [allowStreamLocalForwarding],
  permitopen: ({ permitOpen }) => permitted(permitOpen),
  permitlisten: ({ permitListen }) => permitted(permitListen),
  gatewayports: ({ gatewayPorts }) => [gatewayPorts],
};

/** Lists by which the algorithms are compared: those in which both sides know every name. */
const algorithms: Record<string, (config: SshdConfig) => readonly string[]> = {
  ciphers: ({ ciphers }) => ciphers,
  macs: ({ macs }) => macs,
  kexalgorithms: ({ kexAlgorithms }) => kexAlgorithms,
  hostkeyalgorithms: ({ hostKeyAlgorithms }) => hostKeyAlgorithms,
  pubkeyacceptedalgorithms: ({ pubkeyAcceptedAlgorithms }) => pubkeyAcceptedAlgorithms,
  casignaturealgorithms: ({ caSignatureAlgorithms }) => caSignatureAlgorithms,
};

const root: LoginContext = {
  user: "root",
  groups: ["root"],
  host: "h.example",
  address: "1.2.3.4",
  localAddress: "10.0.0.1",
  localPort: 2222,
};

const logins: LoginContext[] = [
  root,
  { ...root, user: "daemon", groups: ["daemon"], address: "2001:db8::5", host: "2001:db8::5", localPort: 22 },
  { ...root, user: "nobody", groups: ["nogroup"], address: "192.168.7.9", host: "other.example" },
];

/** Files that both sides must read alike. */
const samples: Record<string, string> = {
  "nothing": "",
  "addresses and ports": "Port=2222\nListenAddress 127.0.0.1\nListenaddress [::1]:99\nPort 2223\n",
  "every address": "ListenAddress *:80\nAddressFamily inet\n",
  "one family": "AddressFamily inet6\nPort 7\n",
  "bare addresses": "ListenAddress ::1\nListenAddress 127.0.0.1:99\nPort 5",
  "lists": `AcceptEnv A B*\nAcceptEnv C\nSetEnv X=1 "Y=a b" X=2\nSetEnv Z=3\nAllowUsers a b@10.0.0.0/8 "c d"
AllowUsers e\nDenyUsers f\nDenyUsers g*\nAllowGroups wheel users\nDenyGroups 'x y'\n`,
  "permits": "PermitOpen 1.2.3.4:80 [::1]:99 *:22 h:*\nPermitListen 8080 localhost:9090 *:*\nPermitOpen any",
  "permits nothing": "PermitOpen none\nPermitListen none\n",
  "permits any": "PermitOpen any\nPermitListen any\n",
  "times and sizes": `LoginGraceTime 1h30m\nClientAliveInterval 2m\nClientAliveCountMax 0\nRekeyLimit 1G 1h
MaxStartups 10:30:60\nMaxAuthTries 3 # comment\nMaxSessions 0\n`,
  "more times and sizes": "LoginGraceTime 0\nRekeyLimit default 2W\nMaxStartups 5\n",
  "hardened sizes": `RequiredRSASize 3072\nPerSourceMaxStartups 1\nPerSourceNetBlockSize 24:56
PubkeyAuthOptions none verify-required\nPermitUserEnvironment LANG,!LC_X,LC_*\nMatch User root
RequiredRSASize 4096\nPubkeyAuthOptions touch-required\n`,
  "no hardened sizes":
    "PerSourceMaxStartups none\nPubkeyAuthOptions none\nPermitUserEnvironment yes\nRequiredRSASize 512\n",
  "a rekey limit by size": "RekeyLimit 500M none\n",
  "words": `PermitRootLogin without-password\nLogLevel verbose\nGatewayPorts clientspecified
AllowTcpForwarding local\nAllowStreamLocalForwarding REMOTE\nPidFile none\nStrictModes no\nPermitTTY =no
PubkeyAuthentication YES\nPasswordAuthentication "no"\nDisableForwarding yes\nAllowAgentForwarding no\n`,
  "other words":
    "PermitRootLogin forced-commands-only\nAllowTcpForwarding all\nGatewayPorts yes\nLogLevel DEBUG\n",
  "paths": `Banner "/etc/foo bar"\nAuthorizedKeysFile .ssh/a "%h/b c" /x/%u\nTrustedUserCAKeys /ca
RevokedKeys none\nAuthorizedPrincipalsFile %h/p\nForceCommand echo "a b"  c # d\n`,
  "none": "Banner none\nAuthorizedKeysFile none\nTrustedUserCAKeys none\nForceCommand none\nBanner /x\n",
  "a command for keys": `AuthorizedKeysCommand /bin/keys "%u" %k\nAuthorizedKeysCommandUser nobody\n`,
  // Not together: 9.2 then loses the second.
  "a command for principals": `AuthorizedPrincipalsCommand /bin/x\nAuthorizedPrincipalsCommandUser daemon\n`,
  "methods": "AuthenticationMethods publickey,password publickey publickey,keyboard-interactive:pam\n",
  "any method": "AuthenticationMethods any\n",
  "subsystems": "Subsystem sftp internal-sftp -l INFO\nSubsystem foo /bin/foo a\n",
  "older names":
    "ChallengeResponseAuthentication no\nDSAAuthentication no\nUsePrivilegeSeparation yes\nProtocol 2\n",
  "blocks": `PermitTTY yes\nAcceptEnv Z\nMatch User root\n AcceptEnv A\n AllowUsers a\n SetEnv Q=1
 ForceCommand 'sq "x" y'\n MaxSessions 3\nMatch all\n AcceptEnv B\n MaxSessions 4\n SetEnv Q=2\n AllowUsers b
 X11Forwarding no\n`,
  "criteria": `Match Address 1.2.3.0/24,!1.2.3.4\n Banner /1\nMatch Address 2001:db8::/32\n Banner /2
Match LocalPort 2222 LocalAddress 10.0.0.0/8 User !root,*\n Banner /3\nMatch Group root # comment\n Banner /4
Match Host *.EXAMPLE\n PermitTTY no\nMatch User=root,nobody\n PermitOpen a:1\nMatch User "*o*" Group nogroup\n PermitOpen b:2
Match User root\nMatch User nobody\n RekeyLimit 1M\n`,
  "quotes": `"PermitTTY" no\nAllowUsers 'a b' c\\\\d e\\"f "g # h" # i\nAcceptEnv \tX\t Y\n\tBanner\t=\t/b\n`,
  "includes": "PermitTTY no\nInclude FOLDER/included/*.conf FOLDER/none\nBanner /outer\nMatch User root\n" +
    "Include FOLDER/included/2.conf\n MaxSessions 2\n",
  "algorithms": `Ciphers aes256-gcm@openssh.com,aes128-ctr\nMACs hmac-sha2-256,hmac-sha2-512-etm@openssh.com
KexAlgorithms curve25519-sha256,ecdh-sha2-nistp521\nHostKeyAlgorithms rsa-sha2-512,ssh-ed25519
PubkeyAcceptedAlgorithms ssh-ed25519\nCASignatureAlgorithms rsa-sha2-512,ecdsa-sha2-nistp384\n`,
};

const wrong = [
  "Port 22 23",
  "Foo yes",
  "PermitTTY maybe",
  'Banner "a',
  "Match user",
  "Match user x\nPort 1",
  "Match foo x",
  "Match all user x",
  "MaxStartups 0",
  "LoginGraceTime 5x",
  "PermitTTY",
  "RekeyLimit 1",
  "MaxAuthTries -1",
  "MaxAuthTries 0x10",
  "AcceptEnv a=b",
  "SetEnv A",
  "AllowUsers a@1.2.3.4/8",
  "AuthenticationMethods any publickey",
  "AuthenticationMethods foo",
  "LogLevel FOO",
  "RekeyLimit none 1h",
  "PermitOpen foo",
  "PermitOpen foo:80 any",
  "Port 0",
  "Port 70000",
  "AuthorizedKeysCommand foo",
  "AuthorizedKeysCommand /foo",
  "MaxStartups 10:50:5",
  "PerSourceNetBlockSize 33",
  "PubkeyAuthOptions touch",
  "Match user root\nPerSourceMaxStartups 1",
  "ListenAddress 127.0.0.1 5",
  "Match localport 22,23\nPermitTTY no",
  "Match address 1.2.3.4/24\nPermitTTY no",
];

/** Values of each keyword, as `sshd -T` says; keywords that stand once and hold a list are split. */
async function stock(
  peer: Peer,
  file: string,
  login: LoginContext,
): Promise<Map<string, string[]> | undefined> {
  const { user, host, address, localAddress, localPort } = login;
  const context = `user=${user},host=${host},addr=${address},laddr=${localAddress},lport=${localPort}`;
  if (Deno.uid() === 0) await run(peer.line("mkdir", "-p", "-m", "755", "/run/sshd"));
  const { code, text } = await run(peer.line("/usr/sbin/sshd", "-T", "-f", file, "-C", context));
  if (code !== 0) return undefined;
  const values = new Map<string, string[]>();
  for (const line of text.split("\n").filter(Boolean)) {
    const at = line.indexOf(" ");
    const keyword = line.slice(0, at).toLowerCase();
    const value = line.slice(at + 1).replace("prohibit-password", "without-password")
      // How many keys may be asked about, which newer ones limit.
      .replace(/ ?max-pk-ok:\d+/, "");
    values.set(keyword, [...values.get(keyword) ?? [], value]);
  }
  return values;
}

async function withSamples(body: (folder: Folder, hostKey: string) => Promise<void>): Promise<void> {
  using folder = sharedFolder();
  const key = await makeKey(folder, "host_key");
  Deno.mkdirSync(folder.at("included"));
  folder.write("included/1.conf", "Banner /first\nMatch User root\nBanner /inner\nMaxSessions 8\n");
  folder.write("included/2.conf", "MaxSessions 5\nAcceptEnv TWO\nMatch User nobody\nMaxSessions 6\n");
  folder.write("included/.3.conf", "MaxSessions 7\n");
  await body(folder, key.path);
}

/** Where the two differ, for every sample and login. */
async function differences(peer: Peer, folder: Folder, hostKey: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const [sample, text] of Object.entries(samples)) {
    const content = `HostKey ${hostKey}\n${text.replaceAll("FOLDER", folder.path)}`;
    const file = folder.write("sshd_config", content);
    const parsed = await parseSshdConfig(file, fileConfigSource);
    const rows = sample === "algorithms" ? { ...dump, ...algorithms } : dump;
    for (const login of logins) {
      const stockValues = await stock(peer, file, login);
      assert.ok(stockValues, `sshd refuses ${sample}`);
      const config = evaluate(parsed, login);
      for (const [keyword, values] of Object.entries(rows)) {
        const ours = keyword in algorithms ? [values(config).join(",")] : [...values(config)].sort();
        // Newer ones leave out what is none.
        const theirs = stockValues.get(keyword)?.sort() ?? (ours[0] === "none" ? ours : []);
        if (ours.join("\n") !== theirs.join("\n")) {
          found.push({ sample, user: login.user, keyword, ours, theirs });
        }
      }
    }
  }
  return found;
}

for (const peer of [openssh, opensshNewest]) {
  peerTest(
    `${peer.name}: sshd -T and we make the same of every sample, for every login`,
    [peer],
    () =>
      withSamples(async (folder, hostKey) => {
        assert.deepEqual(await differences(peer, folder, hostKey), []);
      }),
  );

  peerTest(`${peer.name}: what sshd refuses we refuse`, [peer], () =>
    withSamples(async (folder, hostKey) => {
      for (const text of wrong) {
        const file = folder.write("sshd_config", `HostKey ${hostKey}\n${text}\n`);
        assert.equal(await stock(peer, file, root), undefined, `sshd accepts ${text}`);
        await assert.rejects(
          async () => evaluate(await parseSshdConfig(file, fileConfigSource), root),
          { name: "SshdConfigError" },
          text,
        );
      }
    }));
}
