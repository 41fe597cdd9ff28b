/** Every parser of bytes or text that a stranger may have written, with valid inputs to begin from. */
import { type Bytes, decodeText, EMPTY, encodeText } from "../../src/bytes/bytes.ts";
import { MalformedError, Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { decodeHex } from "../../src/bytes/encoding.ts";
import { SshdConfigError } from "../../src/agent/sshd_config/error.ts";
import { evaluate } from "../../src/agent/sshd_config/evaluate.ts";
import { parseSshdConfig } from "../../src/agent/sshd_config/parse.ts";
import { parseCertificate, signCertificate } from "../../src/cert/certificate.ts";
import { certificateRestrictions, sourceAddress } from "../../src/cert/options.ts";
import { parseKrl, writeKrl } from "../../src/cert/krl.ts";
import { parseRevokedKeys } from "../../src/cert/revocation.ts";
import { ProxyHeaderError, readProxyHeader } from "../../src/edge/proxy_protocol.ts";
import { sniff } from "../../src/edge/sniff.ts";
import { parsePolicy, PolicyError } from "../../src/identity/policy/parse.ts";
import { parseDialRange, parseDuration, parsePortRange } from "../../src/identity/ranges.ts";
import { parseAuthorizedKeys } from "../../src/keys/authorized_keys.ts";
import { lookUpHost, parseKnownHosts } from "../../src/keys/known_hosts.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../../src/keys/private_key.ts";
import { decodePublicKey, formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { KeyError } from "../../src/keys/types.ts";
import { FilesError } from "../../src/platform/files.ts";
import { NameError, normalizeName } from "../../src/routing/names.ts";
import { defaultAlgorithms, parseAlgorithmList } from "../../src/ssh/algorithms/lists.ts";
import { propose } from "../../src/ssh/algorithms/negotiation.ts";
import * as auth from "../../src/ssh/auth/messages.ts";
import { SshError } from "../../src/ssh/error.ts";
import * as forward from "../../src/ssh/forward/messages.ts";
import * as session from "../../src/ssh/session/requests.ts";
import { encodeTerminalModes, parseTerminalModes } from "../../src/ssh/session/terminal_modes.ts";
import { decodeReply, readVersion } from "../../src/ssh/sftp/reply.ts";
import { decodeRequest, encodeRequest } from "../../src/ssh/sftp/request.ts";
import { encodeServerExtInfo, NO_EXTENSIONS, parseExtInfo } from "../../src/ssh/transport/ext_info.ts";
import { encodeKexInit, parseKexInit } from "../../src/ssh/transport/kexinit.ts";
import { printable, printableLines } from "../../src/bytes/printable.ts";

export interface ParserTarget {
  readonly name: string;
  readonly seeds: readonly Bytes[];
  /** Parses; what it throws must be of one of `errors`. */
  readonly parse: (input: Bytes) => unknown;
  // deno-lint-ignore no-explicit-any -- any constructor of errors
  readonly errors: readonly (new (...args: any[]) => Error)[];
}

const keys = await Promise.all(
  (["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"] as const).map((type) =>
    generatePrivateKey(type)
  ),
);
const blobs = keys.map((key) => key.publicKey.blob);
const lines = keys.map((key) => formatPublicKey(key.publicKey, "ann@example.com"));
const certificates = await Promise.all(keys.map((key, i) =>
  signCertificate({
    role: i % 2 ? "host" : "user",
    publicKey: key.publicKey,
    serial: 7n,
    keyId: "ann",
    principals: ["ann", "group:sre"],
    validAfter: 0n,
    validBefore: 2_000_000_000n,
    criticalOptions: i % 2 ? undefined : new Map([["source-address", "10.0.0.0/8,::1/128"]]),
    extensions: i % 2 ? undefined : new Map([["permit-pty", ""], ["permit-port-forwarding", ""]]),
  }, keys[0])
));
const krl = writeKrl({
  version: 3n,
  generated: 1n,
  comment: "test",
  certificates: [{
    authority: keys[0].publicKey,
    serials: [{ first: 1n, last: 5n }, { first: 100n, last: 100n }, {
      offset: 200n,
      bitmap: new Uint8Array([5, 9]),
    }],
    keyIds: ["ann", "bob"],
  }],
});

const messages = Object.entries(auth).filter(([, value]) =>
  typeof value === "object" && "decode" in value
) as [string, auth.Message<unknown>][];

/** Something of the shape of most messages of authentication. */
const authSeeds: Bytes[] = [
  auth.ServiceRequest.encode({ service: "ssh-userauth" }),
  auth.UserauthRequest.encode({
    user: "ann",
    service: "ssh-connection",
    method: "publickey",
    fields: auth.PublicKeyFields.encode({
      signed: true,
      algorithm: "ssh-ed25519",
      blob: blobs[0],
      signature: new Uint8Array(83),
    }),
  }),
  auth.UserauthFailure.encode({ methods: ["publickey", "password"], partial: true }),
  auth.UserauthBanner.encode({ text: "hello\r\n", language: "en" }),
  auth.UserauthPkOk.encode({ algorithm: "ssh-ed25519", blob: blobs[0] }),
  auth.InfoRequest.encode({
    name: "",
    instruction: "",
    language: "",
    prompts: [{ text: "Token: ", echo: false }],
  }),
  auth.InfoResponse.encode({ answers: ["one", "two"] }),
  auth.PasswordFields.encode({ change: false, password: "secret" }),
].map((bytes) => bytes.slice());

const sshdConfig = `
Port 22
ListenAddress [::1]:2222
HostKey /etc/ssh/key
Ciphers ^aes128-gcm@openssh.com
RekeyLimit 1G 1h
MaxStartups 10:30:100
PermitOpen localhost:22 [::1]:*
PerSourceNetBlockSize 24:56
PubkeyAuthOptions touch-required
PermitUserEnvironment LANG,!LC_X
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
Match User ann,!bob Address 10.0.0.0/8
  ForceCommand "echo \\"hi\\""
  AuthenticationMethods publickey,password publickey
`;

const policy = `
groups:
  sre: { email: ["ann@mycorp.com", "*@sre.mycorp.com"] }
rules:
  - name: sre reaches production
    who:  { group: sre }
    may:  [connect, login]
    what: { node: "*.prod.mycorp.com", port: [22, 5432] }
    from: [10.0.0.0/8]
    until: 2027-01-31T00:00:00Z
`;

const text = (...parts: string[]) => parts.map((part) => encodeText(part));
const tcp = forward.encodeTcpChannel({
  target: { host: "web", port: 22 },
  originator: { host: "::1", port: 1 },
});
const pty = session.ptyRequest.encode({
  term: "xterm",
  columns: 80,
  rows: 24,
  widthPixels: 0,
  heightPixels: 0,
  modes: new Map([[1, 3], [53, 1]]),
});

function readEverything(input: Bytes): void {
  const methods = [
    "string",
    "text",
    "utf8",
    "mpint",
    "nameList",
    "uint32",
    "uint64",
    "byte",
    "boolean",
  ] as const;
  for (const first of methods) {
    const reader = new Reader(input);
    try {
      reader[first]();
      for (const method of methods) reader[method]();
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
    }
  }
}

export const parserTargets: readonly ParserTarget[] = [
  { name: "Reader", seeds: [...blobs, tcp, pty], parse: readEverything, errors: [] },
  {
    name: "KEXINIT",
    seeds: [encodeKexInit(propose(defaultAlgorithms, "ext-info-c")).slice()],
    parse: parseKexInit,
    errors: [MalformedError],
  },
  {
    name: "EXT_INFO",
    seeds: [encodeServerExtInfo(["ssh-ed25519", "rsa-sha2-512"]).slice()],
    parse: (input) => parseExtInfo(input, NO_EXTENSIONS),
    errors: [MalformedError],
  },
  ...messages.map(([name, message]) => ({
    name,
    seeds: authSeeds,
    parse: (input: Bytes) => message.decode(input),
    errors: [SshError],
  })),
  { name: "tcp channel", seeds: [tcp], parse: forward.decodeTcpChannel, errors: [MalformedError] },
  {
    name: "tcpip-forward",
    seeds: [forward.encodeHostPort({ host: "web", port: 22 })],
    parse: forward.decodeHostPort,
    errors: [MalformedError],
  },
  {
    name: "chosen port",
    seeds: [forward.encodePort(22)],
    parse: forward.decodePort,
    errors: [MalformedError],
  },
  {
    name: "socket path",
    seeds: [forward.encodeDirectStreamLocal("/run/x"), forward.encodePath("/run/x")],
    parse: forward.decodePath,
    errors: [MalformedError],
  },
  { name: "pty-req", seeds: [pty], parse: session.ptyRequest.decode, errors: [MalformedError] },
  {
    name: "env",
    seeds: [session.envRequest.encode({ name: "LANG", value: "C" })],
    parse: session.envRequest.decode,
    errors: [MalformedError],
  },
  {
    name: "exit",
    seeds: [
      encodeText("\0\0\0\x03"),
      new Writer().string("TERM").boolean(true).string("x").string("").finish(),
    ],
    parse: (input) => {
      session.parseExitRequest("exit-signal", input);
      session.parseExitRequest("exit-status", input);
    },
    errors: [MalformedError],
  },
  {
    name: "terminal modes",
    seeds: [encodeTerminalModes(new Map([[1, 2], [128, 9600]]))],
    parse: parseTerminalModes,
    errors: [MalformedError],
  },
  { name: "public key", seeds: blobs, parse: decodePublicKey, errors: [KeyError] },
  {
    name: "public key line",
    seeds: text(...lines),
    parse: (i) => parsePublicKeyLine(decodeText(i)),
    errors: [KeyError],
  },
  {
    name: "certificate",
    seeds: certificates,
    parse: (input) => {
      const certificate = parseCertificate(input);
      certificateRestrictions(certificate);
      sourceAddress(certificate);
    },
    errors: [KeyError, MalformedError],
  },
  { name: "revocation list", seeds: [krl], parse: parseKrl, errors: [KeyError] },
  {
    name: "revoked keys",
    seeds: [krl, ...text(lines.join("\n"))],
    parse: parseRevokedKeys,
    errors: [KeyError],
  },
  {
    name: "private key",
    seeds: text(...keys.map((key) => formatPrivateKey(key))),
    parse: (input) => parsePrivateKey(decodeText(input)),
    errors: [KeyError],
  },
  {
    name: "authorized_keys",
    seeds: text(
      lines.map((line, i) =>
        [`from="10.0.0.0/8,!10.1.0.0/16" ${line}`, `cert-authority,principals="a,b" ${line}`, line][i % 3]
      ).join("\n"),
    ),
    parse: (input) => parseAuthorizedKeys(decodeText(input)),
    errors: [],
  },
  {
    name: "known_hosts",
    seeds: text(
      [
        `web,10.0.0.1,[db]:2222 ${lines[0]}`,
        `@cert-authority *.example.com,!bad ${lines[1]}`,
        `|1|0123456789abcdefghijABCDEFGH|0123456789abcdefghijABCDEFGH ${lines[2]}`,
      ].join("\n"),
    ),
    parse: (input) => {
      const hosts = parseKnownHosts(decodeText(input));
      return lookUpHost(hosts, "web.example.com", 22, { key: keys[0].publicKey });
    },
    errors: [],
  },
  {
    name: "sftp request",
    seeds: [
      encodeRequest(1, { type: "close", handle: new Uint8Array(4) } as never),
      encodeRequest(
        1,
        { type: "write", handle: new Uint8Array(4), offset: 0n, data: new Uint8Array(9) } as never,
      ),
    ].map((packet) => packet.slice(4)),
    parse: (input) => {
      const reader = new Reader(input);
      const type = reader.byte();
      reader.uint32();
      decodeRequest(type, reader);
    },
    errors: [MalformedError, FilesError],
  },
  {
    name: "sftp reply",
    seeds: [
      new Writer().byte(104).uint32(1).uint32(1).string("a").string("-rw a").uint32(0xf).uint64(1n)
        .uint32(0).uint32(0).uint32(0).uint32(0).uint32(0).finish(),
      new Writer().byte(101).uint32(1).uint32(4).string("failed").string("").finish(),
    ],
    parse: (input) => {
      decodeReply(input);
      readVersion(new Reader(input));
    },
    errors: [MalformedError],
  },
  {
    name: "sshd_config",
    seeds: text(sshdConfig),
    parse: async (input) => {
      const source = { read: () => Promise.resolve(decodeText(input)), glob: () => Promise.resolve([]) };
      evaluate(await parseSshdConfig("/etc/ssh/sshd_config", source));
    },
    errors: [SshdConfigError],
  },
  { name: "policy", seeds: text(policy), parse: (i) => parsePolicy(decodeText(i)), errors: [PolicyError] },
  {
    name: "name",
    seeds: text("web.example.com", "bücher.example."),
    parse: (i) => normalizeName(decodeText(i)),
    errors: [NameError],
  },
  {
    name: "algorithm list",
    seeds: text("^aes*,-x,?", "+hmac-sha2-*"),
    parse: (input) => parseAlgorithmList("cipher", decodeText(input)),
    errors: [],
  },
  {
    name: "port range",
    seeds: text("22", "1-100"),
    parse: (i) => parsePortRange(decodeText(i)),
    errors: [TypeError],
  },
  {
    name: "dial range",
    seeds: text("10.0.0.0/8:22-80"),
    parse: (i) => parseDialRange(decodeText(i)),
    errors: [TypeError],
  },
  {
    name: "duration",
    seeds: text("8h", "30m10s"),
    parse: (i) => parseDuration(decodeText(i)),
    errors: [TypeError],
  },
  {
    name: "PROXY header",
    seeds: [
      ...text("PROXY TCP4 192.0.2.7 203.0.113.5 12345 22\r\n", "PROXY UNKNOWN\r\n"),
      decodeHex("0d0a0d0a000d0a515549540a2111000cc0000207cb00710530390016"),
    ],
    parse: readProxyHeader,
    errors: [ProxyHeaderError],
  },
  {
    name: "first bytes",
    seeds: [...text("SSH-2.0-x"), decodeHex("1603010200010001fc")],
    parse: sniff,
    errors: [],
  },
  {
    name: "printable",
    seeds: text("a\x1b[2J\r\nb\u202e", "\ud800"),
    parse: (input) => {
      const shown = printable(decodeText(input)) +
        printableLines(decodeText(input)).replaceAll(/[\n\t]/g, "");
      // deno-lint-ignore no-control-regex
      if (/[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(shown)) {
        throw new Error("not printable");
      }
    },
    errors: [],
  },
  { name: "nothing", seeds: [EMPTY], parse: readEverything, errors: [] },
];
