/** What a client brings to authenticate with, and what comes of it. */
import type { PublicKey, Signer } from "../../../keys/types.ts";
import type { Challenge } from "../types.ts";

/** Keys and agents. */
export interface PublicKeyCredential {
  readonly method: "publickey";
  /** Tried in this order; of each its certificate first, then the plain key. */
  readonly signers: readonly Signer[];
  /**
   * Whether to ask if a key would do before signing with it. Saves a user touches and the server's tries, costs a round
   * trip. Default: unless there is one candidate, and that no FIDO key.
   */
  readonly ask?: boolean;
}

/** A password, or a person who knows one. */
export interface PasswordCredential {
  readonly method: "password";
  /** The password (tried once), or whom to ask: for attempt 1, 2, 3; undefined gives up. */
  readonly password: string | ((attempt: number) => string | undefined | Promise<string | undefined>);
}

/** Somebody, or something, that answers the server's questions. */
export interface KeyboardInteractiveCredential {
  readonly method: "keyboard-interactive";
  /**
   * Answers one round: one string for each prompt; undefined gives up. All text in the challenge is the server's, made
   * printable.
   */
  readonly answer: (
    challenge: Challenge,
    signal: AbortSignal | undefined,
  ) => readonly string[] | undefined | Promise<readonly string[] | undefined>;
  /** Attempts, each of any number of rounds. Default 1. */
  readonly tries?: number;
}

/** One thing to authenticate with. */
export type Credential = PublicKeyCredential | PasswordCredential | KeyboardInteractiveCredential;

/** How a client authenticates. */
export interface ClientAuth {
  readonly user: string;
  /** Tried in this order, as far as the server takes their methods. `none` always goes first. */
  readonly credentials: readonly Credential[];
  /** A banner, made printable: lines end in `\n`. */
  readonly onBanner?: (text: string) => void;
  /** Ends authentication with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What the server has accepted. */
export interface ClientAuthenticated {
  readonly user: string;
  /** Methods in the order in which they were passed. Just `none`: the server wanted no proof at all. */
  readonly methods: readonly string[];
  /** Keys that signed, in order. */
  readonly keys: readonly PublicKey[];
}

/** Times that a person is asked for a password, as ssh's NumberOfPasswordPrompts. */
export const PASSWORD_TRIES = 3;

/** Banners of one server: more than any of ours sends, and an end to an endless one. */
export const MAX_BANNERS = 128;
