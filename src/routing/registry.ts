/**
 * Which node serves which name: leases.
 *
 * A lease is (name, owner, instance): a claim of an identity on a name, held by one connection to the node. It has an
 * epoch, a number that only grows: whatever still acts under an older one can neither serve, renew nor delete. Several
 * leases stand under one name only where a rule lets its owner share it.
 *
 * A second claim on a name:
 *
 * | by | the holder | |
 * |---|---|---|
 * | another identity | | refused, always |
 * | the same, through the same connection | | one more port of the same lease |
 * | the same with the same instance | | replaces the first at once |
 * | the same, another or no instance | does not answer a probe within 2 s | replaces the first |
 * | | answers | refused; with `shared`: both stand |
 *
 * So a holder that is half-open delays its own return by two seconds at most, and of two clients with one key the live
 * holder keeps the name, however often the other tries. An instance must therefore be new for each start of an agent.
 *
 * Everything is asynchronous, and targets open connections wherever the node is connected: another process or gateway
 * may hold the lease.
 */
import type { Duplex } from "../streams/duplex.ts";
import type { OpenRequest, Target } from "./target.ts";

/** How long a holder has to answer a probe, in milliseconds. */
export const PROBE_TIMEOUT = 2000;

/** Who owns a lease. Two owners are the same when issuer and subject are; the name is for people. */
export interface LeaseOwner {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
}

/** The connection that serves a lease, as whoever holds it sees it. The registry compares holders by reference. */
export interface Holder {
  /** For logs: `10.0.0.7:40100`. */
  readonly description: string;
  /**
   * Asks the far end for a sign of life (`keepalive@openssh.com`). Resolves when it has answered; rejects when the
   * connection is known to be gone. Need not settle: the registry waits 2 s, then aborts the signal.
   */
  probe(signal: AbortSignal): Promise<unknown>;
  /** Opens a connection to the endpoint (`forwarded-tcpip` with the address as it was asked). */
  open(endpoint: Endpoint, request: OpenRequest): Promise<Duplex>;
  /**
   * The lease was taken away: replaced or expired. The holder should let go of what belongs to it; where it was
   * half-open, close the connection. Not called for `release`. Must not throw.
   */
  evicted(lease: Lease, why: string): void;
}

/** One port of a node, as the connection registered it. */
export interface Endpoint {
  readonly port: number;
  /** Reached by Host or SNI by anybody. */
  readonly published: boolean;
  /**
   * Address and port exactly as asked and answered: OpenSSH refuses a `forwarded-tcpip` with another spelling. The
   * registry keeps it and compares by it.
   */
  readonly asked: { readonly address: string; readonly port: number };
}

/** What a holder asks for: one port of one name. */
export interface Claim {
  /** Full and normalised. */
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly owner: LeaseOwner;
  /** Of the agent's start; absent for stock clients. */
  readonly instance?: string;
  /** A rule lets the owner stand beside other leases of its own. */
  readonly shared: boolean;
}

/** What identifies a lease: fences every later act on it. */
export interface LeaseRef {
  readonly name: string;
  readonly epoch: number;
}

/** A lease at one moment. */
export interface Lease extends LeaseRef {
  readonly owner: LeaseOwner;
  readonly instance?: string;
  readonly endpoints: readonly Endpoint[];
  /** The holder's description. */
  readonly holder: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Milliseconds since 1970; `renew` moves it. */
  readonly expiresAt: number;
}

/** A target that a lease serves. `open` fails with `fenced` once the lease has ended or been replaced. */
export interface LeaseTarget extends Target {
  readonly lease: Lease;
  readonly endpoint: Endpoint;
}

/** What a watcher is told. `changed`: ports came or went. */
export interface LeaseChange {
  readonly kind: "added" | "changed" | "removed";
  readonly lease: Lease;
}

/** Why the registry refuses. */
export type RegistryErrorCode =
  /** The name is another identity's. */
  | "taken"
  /** The same identity holds it through a live connection. */
  | "held"
  /** The epoch is over. */
  | "fenced"
  /** Too many leases, endpoints or waiting claims. */
  | "limit"
  /** The registry has been closed or cannot be reached. */
  | "unavailable";

/** A claim or act that the registry refuses. The message is for the peer: it says nothing about others. */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  constructor(readonly code: RegistryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Who serves what. The contract suite in `test/contract` says all that an implementation must do. */
export interface Registry {
  /**
   * Claims a name, or adds an endpoint to the lease that `holder` has on it. Claims for one name are decided one after
   * the other.
   * @param options.signal the claimant has gone: nothing is granted any more
   * @throws {RegistryError} `taken`, `held`, `limit`, `unavailable`; the signal's reason
   */
  register(claim: Claim, holder: Holder, options?: { signal?: AbortSignal }): Promise<Lease>;

  /**
   * The holder is alive: the lease lasts for another lifetime. Call it whenever the peer has answered a keepalive, at
   * least three times per lifetime.
   * @throws {RegistryError} `fenced`, `unavailable`
   */
  renew(lease: LeaseRef): Promise<Lease>;

  /**
   * Gives back one endpoint (by what was asked) or the whole lease; with its last endpoint the lease ends. False when
   * there was no such thing under this epoch: a stale holder takes nothing away.
   */
  release(lease: LeaseRef, asked?: Endpoint["asked"]): Promise<boolean>;

  /**
   * Who serves `port` of `name` now, in no order. None: empty.
   * @param name full and normalised
   */
  resolve(name: string, port: number): Promise<LeaseTarget[]>;

  /** All leases, or those of one name. */
  list(name?: string): Promise<Lease[]>;

  /**
   * Calls `listener` for every change from now on, in the order in which they happened per name.
   * @param listener must not throw
   * @returns stops it
   */
  watch(listener: (change: LeaseChange) => void): () => void;

  /** Ends every lease without telling the holders, and all timers. */
  close(): Promise<void>;
}
