/** What a server asks of the program around it, and what it learns. */
import type { Certificate } from "../../../cert/types.ts";
import type { PublicKey, VerifiedSignature } from "../../../keys/types.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { Challenge } from "../types.ts";

/** A method that was passed, with the key where it was one. */
export interface PassedMethod {
  /** `publickey`, `password`, … (`publickey` for its host-bound form too) */
  readonly method: string;
  readonly key?: PublicKey;
  readonly certificate?: Certificate;
}

/** What every callback is told. */
export interface AuthRequest {
  /** The user name, exactly as the peer wrote it: for logs use `printable`. */
  readonly user: string;
  /** Methods that this user name has passed on this connection, in order. A callback that wants two different keys compares. */
  readonly passed: readonly PassedMethod[];
  /** Aborts when nobody waits for the verdict any more. */
  readonly signal: AbortSignal | undefined;
}

/**
 * A key that the peer holds (`proven`) or asks about.
 *
 * With `certificate`, `key` is the key inside it and nothing about the certificate has been checked: not its
 * authority, its times or its principals. That is the callback's work.
 */
export interface PublicKeyRequest extends AuthRequest {
  readonly key: PublicKey;
  readonly certificate?: Certificate;
  /** The algorithm as asked for: `rsa-sha2-256`, `ssh-ed25519-cert-v01@openssh.com`, … */
  readonly algorithm: string;
  /**
   * False: a question, answered without consequences. True: this key's signature over this session was verified
   * just now. A login is decided by the second call alone; the answer to the first is forgotten.
   */
  readonly proven: boolean;
  /** What a FIDO token vouched for, when `proven`. */
  readonly fido?: VerifiedSignature["fido"];
}

/** A password that the peer sent. */
export interface PasswordRequest extends AuthRequest {
  readonly password: string;
}

/** A peer that is ready to be asked. */
export interface KeyboardInteractiveRequest extends AuthRequest {
  /** Hints of the peer; usually empty. */
  readonly submethods: readonly string[];
  /**
   * Asks and resolves to one answer for each prompt. One round at a time.
   * Rejects when the peer gave up, answered wrongly counted, or is gone: let that pass through.
   */
  prompt(challenge: Partial<Challenge>): Promise<readonly string[]>;
}

/** What to demand of a FIDO key. Default: touch, no verification (OpenSSH `no-touch-required`, `verify-required`). */
export interface FidoDemand {
  readonly touch?: boolean;
  readonly verification?: boolean;
}

/** What a callback decides. Everything but these three is the library's business. */
export type Verdict<I> =
  /** In. */
  | {
    readonly result: "accepted";
    readonly identity: I;
    readonly fido?: FidoDemand;
    readonly message?: string;
  }
  /** Right, and one of `methods` is wanted as well. */
  | {
    readonly result: "partial";
    readonly methods: readonly string[];
    readonly fido?: FidoDemand;
    readonly message?: string;
  }
  /** No. `reason` is for the log; `message` is shown to the user as a banner. */
  | {
    readonly result: "refused";
    readonly reason?: string;
    readonly message?: string;
    readonly cause?: unknown;
  };

/** Answers one request. What it throws is a refusal, except an `SshError`, which ends the connection. */
export type Decide<R, I> = (request: R) => Verdict<I> | Promise<Verdict<I>>;

/** One attempt and how it ended: for audit and penalties. Texts are printable. */
export interface Attempt {
  readonly user: string;
  readonly method: string;
  /** `known`: a question about a key was answered with yes. `abandoned`: the peer turned to something else. */
  readonly result: "accepted" | "partial" | "refused" | "known" | "abandoned";
  /** Why it was refused. Peers never see it. */
  readonly reason?: string;
  readonly key?: PublicKey;
  readonly certificate?: Certificate;
  /** Whether it used up one of the tries. */
  readonly counted: boolean;
  readonly cause?: unknown;
}

/**
 * How a server authenticates: a callback for each method that it offers. A method without one does not exist.
 * @typeParam I what the program calls an identity
 */
export interface ServerAuth<I> {
  readonly none?: Decide<AuthRequest, I>;
  readonly publicKey?: Decide<PublicKeyRequest, I>;
  readonly password?: Decide<PasswordRequest, I>;
  readonly keyboardInteractive?: Decide<KeyboardInteractiveRequest, I>;
  /** Which of the methods above are open to `user` at first. Default: all. */
  readonly methods?: (user: string) => readonly string[] | Promise<readonly string[]>;
  /** Shown before the first answer. */
  readonly banner?: string | ((user: string) => string | undefined | Promise<string | undefined>);
  /** Accepted public key algorithms (sshd: PubkeyAcceptedAlgorithms). Default: all of `keyAlgorithms`. */
  readonly algorithms?: readonly string[];
  /** Failures until the connection ends, by whom they were last about. Default {@link DEFAULT_MAX_TRIES}. */
  readonly maxTries?: number | ((user: string) => number);
  /** Milliseconds; refusals are answered at whole multiples of it. Default {@link DEFAULT_FAILURE_QUANTUM}. */
  readonly failureQuantum?: number;
  /** Told of every attempt, for audit and penalties. */
  readonly onAttempt?: (attempt: Attempt) => void;
}

/** As sshd's MaxAuthTries. */
export const DEFAULT_MAX_TRIES = 6;

/**
 * Milliseconds. Longer than looking a user up takes, so that known and unknown ones wait the same; sshd aims at about
 * as much.
 */
export const DEFAULT_FAILURE_QUANTUM = 10;

/**
 * Questions about keys per connection. They are not tries: `ssh -i key` asks for the plain key before its certificate,
 * and an agent may hold dozens. An endless asker is cut off here.
 */
export const MAX_QUERIES = 64;

/** Requests of any kind per connection: bounds what is counted nowhere else (service requests, partial successes). */
export const MAX_REQUESTS = 128;

/** Bytes of a user name. `USER+TARGET` with the longest DNS name needs less than half. */
export const MAX_USER_LENGTH = 1024;

/** What comes from outside the configuration. */
export interface ServerAuthContext {
  /** Ends authentication with the signal's reason: login grace, shutdown. */
  readonly signal?: AbortSignal;
  /** Default: the runtime's. */
  readonly clock?: Clock;
}

/** Who is at the other end, and how that is known. */
export interface Authenticated<I> {
  readonly user: string;
  /** As the callback that accepted named it. */
  readonly identity: I;
  /** Passed methods, in order; the last one decided. */
  readonly methods: readonly PassedMethod[];
}
