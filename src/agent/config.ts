/** The whole configuration of an agent: parsed once, frozen, passed down. */
import type { DialRange } from "../identity/ranges.ts";
import type { Exposure } from "./exposure.ts";
import type { GatewayAddress } from "./gateway_address.ts";
import type { LocalForward } from "./local_forward.ts";
import type { PrincipalGrant } from "./principals.ts";
import type { TokenConfig } from "./token_source.ts";

export interface AgentConfig {
  /** Tried in turn; none: the agent serves without one. */
  readonly gateways: readonly GatewayAddress[];
  /** Undefined: the credential's own. */
  readonly name?: string;
  /** Path of the private key; undefined: looked for. */
  readonly identity?: string;
  /** Where tokens come from that log in at gateways. */
  readonly token?: TokenConfig;
  /** For whom they are; undefined: the gateway, `ssh://HOST`. */
  readonly tokenAudience?: string;
  /** A join token, or `@FILE` with one. Secret. */
  readonly join?: string;
  readonly trust: GatewayTrust;
  readonly exposures: readonly Exposure[];
  /** Nothing of it is ever published. */
  readonly private: boolean;
  /** What others may reach through this agent beyond itself. */
  readonly allowDial: readonly DialRange[];
  readonly login: LoginConfig;
  readonly forwards: readonly LocalForward[];
  /** Serve one connection on standard input and output. */
  readonly stdio: boolean;
  /** Path of an sshd_config for the built-in server. */
  readonly sshdConfig?: string;
  /** Path of the state folder. */
  readonly state: string;
  readonly log: "json" | "text";
  /** Validate everything and end. */
  readonly check: boolean;
  /** File and arguments of the child; empty: none. */
  readonly command: readonly string[];
}

/** Whom to believe. Without either, a gateway's key is pinned on first use. */
export interface GatewayTrust {
  /** Paths. */
  readonly knownHosts: readonly string[];
  /** `SHA256:…` */
  readonly gatewayKeys: readonly string[];
}

/** Who may log in on the built-in server. */
export interface LoginConfig {
  /** Paths; undefined: the local user's own keys. */
  readonly authorizedKeys?: readonly string[];
  /** Lines of authorized_keys from the environment. */
  readonly authorizedLines: readonly string[];
  /** Paths, or `gateway`. */
  readonly userCas: readonly string[];
  readonly principals: readonly PrincipalGrant[];
  /** Folder whose `.ssh` holds the user's keys. */
  readonly home: string;
}
