/**
 * The authority of this process, as its owner sees it: what it is opened with, and what it can do beyond
 * {@link CertificateAuthority}.
 */
import type { Identity } from "../identity/principal.ts";
import type { Clock } from "../platform/clock.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { StateFolder } from "../platform/state.ts";
import type { Store } from "../store/types.ts";
import type { Profile } from "./profiles.ts";
import type { CaErrorCode, CertificateAuthority, Revocation, RevocationRecord } from "./types.ts";

/** What certificates are signed for. Each has roots of its own. */
export const rootKinds = ["user", "host", "x509"] as const;
export type RootKind = typeof rootKinds[number];

/**
 * Roots that are not the state folder's own, as paths of files and folders (see `root_files.ts`). Of each list the first
 * signs, the others are trusted: they may be public keys or certificates alone. A kind without a list has the state
 * folder's roots.
 */
export type RootFiles = { readonly [K in RootKind]?: readonly string[] };

export interface AuthorityConfig {
  /** Normalised; nodes are `*.domain`. */
  readonly domain: string;
  /** Normalised. */
  readonly trustDomain: string;
  /** Further trust domains whose workloads may be named: those of the issuers. Normalised. */
  readonly trustDomains?: readonly string[];
  readonly rootFiles?: RootFiles;
  /** In front of the built-in ones; see `profiles.ts`. */
  readonly profiles: readonly Profile[];
  /** Of SSH roots that are made here. Default `ssh-ed25519`. */
  readonly algorithm?: RootAlgorithm;
  /** Milliseconds after its end for which a certificate is on record. 30 days by default. */
  readonly retention?: number;
}

export type RootAlgorithm = "ssh-ed25519" | "ecdsa-sha2-nistp256";

export interface AuthorityParts {
  /** Keeps the roots: `ca_roots.json` and the files it names. */
  readonly state: Pick<StateFolder, "path" | "read" | "write">;
  /** Keeps serial numbers and revocations. */
  readonly store: Store;
  /** For `config.rootFiles`. */
  readonly files?: ReadableFiles;
  readonly clock: Clock;
  readonly config: AuthorityConfig;
  readonly record: CaRecorder;
  /**
   * Whether an identity still stands: asked once more when its certificate is on record and has not left yet. What is
   * taken back while a certificate is made is so not outlived. Default: it does.
   */
  readonly stands?: (identity: Identity) => Promise<boolean>;
}

/** Takes one record for each thing the authority has done or refused. Must not throw. */
export type CaRecorder = <Name extends keyof CaEvents>(
  name: Name,
  details: CaEvents[Name],
  context: CaEventContext,
) => void;

/** For whom and from where; absent for what the authority did by itself. */
export interface CaEventContext {
  readonly identity?: Identity;
  readonly remote?: string;
}

/** What is recorded, by the name of the event. Nothing secret is in it; text of others may be. */
export interface CaEvents {
  "cert.issued": {
    readonly kind: RootKind;
    /** Decimal for SSH, hexadecimal for X.509. */
    readonly serial: string;
    /** Principals, or the DNS names that it serves. */
    readonly principals: readonly string[];
    /** ISO 8601. */
    readonly expires: string;
    readonly profile: string;
    readonly keyId?: string;
    /** Of the certified key: `SHA256:…`. */
    readonly fingerprint?: string;
  };
  "cert.refused": { readonly kind: RootKind; readonly code: CaErrorCode; readonly reason: string };
  "cert.revoked": { readonly revocation: Revocation; readonly by: string; readonly reason?: string };
  /** A root was made, or came from files. `signs`: ISO 8601. */
  "ca.root": {
    readonly kind: RootKind;
    readonly fingerprint: string;
    readonly signs: string;
    readonly why: string;
  };
  "token.created": { readonly token: string; readonly name: string; readonly expires: string };
  "token.removed": { readonly token: string; readonly name: string };
  "key.enrolled": { readonly token: string; readonly name: string; readonly fingerprint: string };
  "join.refused": { readonly token: string; readonly reason: string };
}

/** The X.509 certificate of ours that an SSH certificate was got with. What takes it back takes both back. */
export type ParentCertificate = {
  /** Hash of issuer and subject to whom it was issued. */
  readonly identity: string;
  /** Of its key: `SHA256:…`. */
  readonly fingerprint: string;
  /** Hexadecimal, lower-case. */
  readonly serial: string;
};

/** What was certified, as the collection `issued` keeps it: by `ssh:SERIAL` or `x509:SERIAL`. */
export type IssuedRecord = {
  readonly kind: RootKind;
  readonly serial: string;
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Of the certified key: `SHA256:…`. */
  readonly fingerprint: string;
  /** Name of the profile: it bounds what is got with the certificate, too. */
  readonly profile?: string;
  readonly parent?: ParentCertificate;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
};

/** Overlap of old and new roots where nobody says otherwise, in milliseconds: every verifier looks at least daily. */
export const DEFAULT_OVERLAP = 24 * 3_600_000;

export interface LocalAuthority extends CertificateAuthority {
  /**
   * Makes a new root. It is trusted at once, and signs after `overlap` milliseconds, when every verifier has heard of it
   * (0: at once). The old one signs until then, and is trusted until the last certificate that it may have signed has
   * run out. All this is kept in the state folder.
   * @throws {CaError} `invalid` where the root comes from configured files: change these
   */
  rotate(kind: RootKind, options?: { readonly overlap?: number }): Promise<void>;
  /**
   * Reads configured root files anew; whoever watches is told when they differ.
   * @throws {CaError} `unavailable` when they cannot be used: the roots stay as they were
   */
  reload(): Promise<void>;
  /** Every file that the configured roots were read from, for whoever watches them. A reload may change it: ask each time. */
  readonly watchedFiles: readonly string[];
  /** What is revoked, in order of time. Serial numbers of certificates that ended long ago are not among it. */
  revocations(): Promise<readonly RevocationRecord[]>;
  /** Certificates that have not run out, of one bearer. */
  issuedTo(identity: Pick<Identity, "issuer" | "subject">): Promise<readonly IssuedRecord[]>;
  /** Stops timers and watches. Store and state folder stay open. */
  close(): void;
}
