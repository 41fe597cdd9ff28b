/** What is asked of the policy: who wants to do what, on what, in which circumstances. */
import type { Identity } from "../principal.ts";
import type { Action } from "./rights.ts";

/** A registered (or asked for) name and one of its ports. For the rights of scope `node`. */
export interface NodeResource {
  readonly kind: "node";
  /** Normalised. */
  readonly name: string;
  /** Other names of the same node, `NAME` beside `NAME.DOMAIN`: a rule that matches one matches. */
  readonly aliases?: readonly string[];
  /** Without it the node as such: rules that name ports match too. */
  readonly port?: number;
  /** The port is published: anybody may `connect`. */
  readonly published?: boolean;
}

/** An address to be dialled. For `dial`. */
export interface AddressResource {
  readonly kind: "address";
  /**
   * The IP address that the connection will really go to. The gateway resolves a name first, asks for each address, and
   * then dials the address, not the name. Only a name that a node is going to resolve has none.
   */
  readonly address?: string;
  /** It is one of the gateway's own machine. Loopback need not be said. */
  readonly own?: boolean;
  /** The name that was asked for, normalised, where it was one. */
  readonly host?: string;
  readonly port: number;
  /** Who dials: the gateway itself, or a node by its names. */
  readonly via: "gateway" | { readonly name: string; readonly aliases?: readonly string[] };
}

/** A port to be opened on the gateway. For `listen`. */
export interface ListenerResource {
  readonly kind: "listener";
  readonly port: number;
}

/** The gateway, or oneself. For everything else. */
export interface GatewayResource {
  readonly kind: "gateway";
}

/** What a right is exercised on. */
export type Resource = NodeResource | AddressResource | ListenerResource | GatewayResource;

/** When, from where and as whom. Absent is unknown: it satisfies no rule that allows and escapes none that denies. */
export interface DecisionContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The peer's IP address. Unknown: conditions on it fail, denials on it hold. */
  readonly sourceAddress?: string;
  /** The login name on the node, for `login`, `exec`, `sftp`, `forward`. */
  readonly login?: string;
  /**
   * What is judged is open already (a policy was reloaded): expiry of the credential and of rules (`until`) is not looked
   * at, for expiry ends what is new and only revocation ends what is open.
   */
  readonly open?: boolean;
}

/** One question, whole. */
export interface Question {
  readonly identity: Identity;
  readonly action: Action;
  readonly resource: Resource;
  readonly context: DecisionContext;
}
