/** Every setting that sshd_config can change here, with OpenSSH's default. */
import { defaultAlgorithms } from "../../ssh/algorithms/lists.ts";
import { keyAlgorithms, signatureAlgorithms } from "../../ssh/algorithms/key_algorithms.ts";
import type {
  FidoOption,
  ListenAddress,
  MaxStartups,
  NetBlockSize,
  Permitted,
  RekeyLimit,
} from "./values.ts";

/** Which direction of forwarding is allowed: `local` is direct-tcpip, `remote` tcpip-forward. */
export type Forwarding = "yes" | "no" | "local" | "remote";

export type LogLevel = "QUIET" | "FATAL" | "ERROR" | "INFO" | "VERBOSE" | "DEBUG1" | "DEBUG2" | "DEBUG3";

/** Members are named as their keywords. Times are seconds; `null` is `none`. */
export interface Settings {
  readonly addressFamily: "any" | "inet" | "inet6";
  readonly ports: readonly number[];
  /** As written; see {@link SshdConfig.listen}. */
  readonly listenAddresses: readonly ListenAddress[];
  readonly pidFile: string | null;
  readonly hostKeys: readonly string[];
  readonly hostCertificates: readonly string[];
  readonly hostKeyAlgorithms: readonly string[];
  readonly ciphers: readonly string[];
  readonly kexAlgorithms: readonly string[];
  readonly macs: readonly string[];
  readonly pubkeyAcceptedAlgorithms: readonly string[];
  readonly caSignatureAlgorithms: readonly string[];
  /** Bits that host keys and users' keys must have. */
  readonly requiredRSASize: number;
  readonly rekeyLimit: RekeyLimit;
  readonly clientAliveInterval: number;
  readonly clientAliveCountMax: number;
  /** 0: no limit. */
  readonly loginGraceTime: number;
  readonly maxAuthTries: number;
  readonly maxSessions: number;
  readonly maxStartups: MaxStartups;
  /** Connections of one network that may be before their login; null: no limit of their own. */
  readonly perSourceMaxStartups: number | null;
  readonly perSourceNetBlockSize: NetBlockSize;
  readonly logLevel: LogLevel;

  /** May hold tokens; relative to the home directory. */
  readonly authorizedKeysFiles: readonly string[];
  readonly authorizedKeysCommand: string | null;
  readonly authorizedKeysCommandUser: string | null;
  readonly trustedUserCAKeys: string | null;
  readonly authorizedPrincipalsFile: string | null;
  readonly authorizedPrincipalsCommand: string | null;
  readonly authorizedPrincipalsCommandUser: string | null;
  readonly revokedKeys: string | null;
  readonly pubkeyAuthentication: boolean;
  readonly pubkeyAuthOptions: readonly FidoOption[];
  readonly passwordAuthentication: boolean;
  readonly kbdInteractiveAuthentication: boolean;
  /** Lists of methods, one of which is to be gone through in order; empty: any single method. */
  readonly authenticationMethods: readonly (readonly string[])[];
  readonly permitRootLogin: "yes" | "no" | "prohibit-password" | "forced-commands-only";
  readonly strictModes: boolean;
  readonly allowUsers: readonly string[];
  readonly denyUsers: readonly string[];
  readonly allowGroups: readonly string[];
  readonly denyGroups: readonly string[];
  readonly banner: string | null;

  readonly acceptEnv: readonly string[];
  /** A pattern list of variables that lines of authorized_keys may set; null: none. */
  readonly permitUserEnvironment: string | null;
  readonly setEnv: ReadonlyMap<string, string>;
  readonly permitTTY: boolean;
  /** Null: what the client asks for. */
  readonly forceCommand: string | null;
  /** Name to command; `internal-sftp` is the built-in server. */
  readonly subsystems: ReadonlyMap<string, string>;
  readonly disableForwarding: boolean;
  readonly allowAgentForwarding: boolean;
  readonly allowTcpForwarding: Forwarding;
  readonly allowStreamLocalForwarding: Forwarding;
  readonly permitOpen: Permitted;
  readonly permitListen: Permitted;
  readonly gatewayPorts: "yes" | "no" | "clientspecified";
}

/** What holds without a line in the file. Algorithms are this library's, all others OpenSSH's. */
export const defaultSettings: Settings = {
  addressFamily: "any",
  ports: [22],
  listenAddresses: [],
  pidFile: "/run/sshd.pid",
  hostKeys: ["rsa", "ecdsa", "ed25519"].map((type) => `/etc/ssh/ssh_host_${type}_key`),
  hostCertificates: [],
  hostKeyAlgorithms: defaultAlgorithms.hostKey,
  ciphers: defaultAlgorithms.cipher,
  kexAlgorithms: defaultAlgorithms.kex,
  macs: defaultAlgorithms.mac,
  pubkeyAcceptedAlgorithms: [...keyAlgorithms.keys()],
  caSignatureAlgorithms: signatureAlgorithms,
  requiredRSASize: 1024,
  rekeyLimit: { bytes: 0, seconds: 0 },
  clientAliveInterval: 0,
  clientAliveCountMax: 3,
  loginGraceTime: 120,
  maxAuthTries: 6,
  maxSessions: 10,
  maxStartups: { start: 10, rate: 30, full: 100 },
  perSourceMaxStartups: null,
  perSourceNetBlockSize: { ipv4: 32, ipv6: 128 },
  logLevel: "INFO",

  authorizedKeysFiles: [".ssh/authorized_keys", ".ssh/authorized_keys2"],
  authorizedKeysCommand: null,
  authorizedKeysCommandUser: null,
  trustedUserCAKeys: null,
  authorizedPrincipalsFile: null,
  authorizedPrincipalsCommand: null,
  authorizedPrincipalsCommandUser: null,
  revokedKeys: null,
  pubkeyAuthentication: true,
  pubkeyAuthOptions: [],
  passwordAuthentication: true,
  kbdInteractiveAuthentication: true,
  authenticationMethods: [],
  permitRootLogin: "prohibit-password",
  strictModes: true,
  allowUsers: [],
  denyUsers: [],
  allowGroups: [],
  denyGroups: [],
  banner: null,

  acceptEnv: [],
  permitUserEnvironment: null,
  setEnv: new Map(),
  permitTTY: true,
  forceCommand: null,
  subsystems: new Map(),
  disableForwarding: false,
  allowAgentForwarding: true,
  allowTcpForwarding: "yes",
  allowStreamLocalForwarding: "yes",
  permitOpen: "any",
  permitListen: "any",
  gatewayPorts: "no",
};
