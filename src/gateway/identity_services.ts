/** The gateway's certificate authority, and the machines that it enrolled: opened from configuration, store and state folder. */
import { openAuthority } from "../ca/authority.ts";
import { certificateFingerprint } from "../ca/client_key.ts";
import { connectRemoteAuthority } from "../ca/connect.ts";
import { type Enrolment, openEnrolment } from "../ca/enrolment.ts";
import type { CaRecorder, LocalAuthority, RootFiles } from "../ca/local.ts";
import { CaError, type CertificateAuthority, type RevocationRecord } from "../ca/types.ts";
import { ENROLLED_ISSUER } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import type { Https } from "../platform/https.ts";
import type { StateFolder } from "../platform/state.ts";
import { ifThere } from "../platform/whole_file.ts";
import type { Store } from "../store/types.ts";
import type { Audit } from "../telemetry/audit.ts";
import { logger } from "../telemetry/log.ts";
import { readCertificates } from "../x509/certificate.ts";
import type { GatewayConfig } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import { readText } from "./text_file.ts";
import { describeAll, type Seen } from "./watch.ts";

export interface IdentityServices {
  readonly authority: CertificateAuthority;
  /** The authority is another machine's. */
  readonly passesOn: boolean;
  readonly revocations: () => Promise<readonly RevocationRecord[]>;
  /** Where the roots are this gateway's. */
  readonly rotate?: LocalAuthority["rotate"];
  readonly enrolment: Enrolment;
  /** Of an authority with roots in files of the user's. */
  readonly rootFiles?: {
    /** Every file and folder that was looked at, as it was before it was read. */
    readonly seen: Seen;
    /** @returns what is to be watched from now on, as it was before it was read @throws {CaError} */
    readonly reload: () => Promise<Seen>;
  };
  /** Store and state folder stay open. */
  close(): void;
}

export interface IdentityParts {
  readonly config: Pick<GatewayConfig, "ca" | "domain" | "trustDomain">;
  /** Of the issuers. */
  readonly trustDomains: readonly string[];
  readonly state: StateFolder;
  readonly store: Store;
  readonly files: Files;
  readonly https: Https;
  readonly clock: Clock;
  readonly audit: Audit;
  readonly hostKeys: readonly { readonly publicKey: PublicKey }[];
}

/** @throws {StartError} `files` when roots cannot be used, or the authority elsewhere was never heard */
export async function openIdentityServices(parts: IdentityParts): Promise<IdentityServices> {
  try {
    return parts.config.ca.remote ? await openRemote(parts) : await openLocal(parts);
  } catch (error) {
    if (!(error instanceof CaError) && !(error instanceof TypeError)) throw error;
    throw new StartError("files", `certificate authority: ${error.message}`, { cause: error });
  }
}

async function openLocal(parts: IdentityParts): Promise<IdentityServices> {
  const { config, state, store, files, clock, trustDomains } = parts;
  const { domain, trustDomain, ca: { keys, profiles } } = config;
  const rootFiles = Object.fromEntries(
    Object.entries(Object.groupBy(keys, ({ kind }) => kind))
      .map(([kind, keys]) => [kind, keys.map(({ path }) => path)]),
  ) as RootFiles;
  // Before they are read: what changes meanwhile is noticed.
  const before = await describeAll(files, keys.map(({ path }) => path));
  const authority: LocalAuthority = await openAuthority({
    state,
    store,
    files,
    clock,
    config: { domain, trustDomain, trustDomains, rootFiles, profiles },
    record: recorder(parts.audit),
    stands: async ({ issuer, subject }) =>
      issuer !== ENROLLED_ISSUER || await enrolment.enrolledKey(subject) !== undefined,
  });
  const enrolment = openEnrolment({
    store,
    clock,
    domain,
    hosts: () => trustedHosts(parts.hostKeys, authority),
    record: recorder(parts.audit),
    withdraw: (...args) => authority.withdraw(...args),
  });
  return {
    authority,
    passesOn: false,
    revocations: () => authority.revocations(),
    rotate: (kind, options) => authority.rotate(kind, options),
    enrolment,
    ...(keys.length > 0 && { rootFiles: await followedRoots(authority, files, before) }),
    close: () => authority.close(),
  };
}

/** @param before the configured paths, as they were before `authority` read them */
async function followedRoots(
  authority: LocalAuthority,
  files: Files,
  before: Seen,
): Promise<NonNullable<IdentityServices["rootFiles"]>> {
  const look = () => describeAll(files, [...before.keys(), ...authority.watchedFiles]);
  return {
    // Folders stand for files in them.
    seen: new Map([...await look(), ...before]),
    async reload() {
      for (;;) {
        const seen = await look();
        await authority.reload();
        // A file that is new among them may have changed since it was read.
        if (authority.watchedFiles.every((path) => seen.has(path))) return seen;
      }
    },
  };
}

async function openRemote(parts: IdentityParts): Promise<IdentityServices> {
  const { config, state, store, files, https, clock, audit } = parts;
  const { url, rootFile, joinToken } = config.ca.remote!;
  const log = logger("gateway");
  const { authority, close } = await connectRemoteAuthority({
    url: url.origin,
    ...(rootFile !== undefined && { roots: await readRoots(files, rootFile) }),
    token: joinToken === undefined ? undefined : await readToken(files, joinToken),
    https,
    state,
    clock,
    onTrouble: (error) => {
      if (error) log.error("the authority is away: {reason}", { reason: error.message });
      else log.info("the authority is back");
    },
  });
  const enrolment = openEnrolment({
    store,
    clock,
    domain: config.domain,
    hosts: () => trustedHosts(parts.hostKeys, authority),
    record: recorder(audit),
    withdraw: (...args) => authority.withdraw(...args),
  });
  return { authority, passesOn: true, revocations: () => authority.revocations(), enrolment, close };
}

/** The join token, or `@FILE` with one. Undefined for a file that has gone: it is needed once, and whoever needs it says so. */
async function readToken(files: Files, text: string): Promise<string | undefined> {
  if (!text.startsWith("@")) return text;
  const path = text.slice(1);
  try {
    return (await ifThere(readText(files, path)))?.trim();
  } catch (cause) {
    throw new StartError("files", `the join token ${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

async function readRoots(files: Files, path: string): Promise<string[]> {
  try {
    const text = await readText(files, path);
    readCertificates(text);
    return [text];
  } catch (cause) {
    throw new StartError("files", `${path} cannot be used: ${(cause as Error).message}`, { cause });
  }
}

/** `SHA256:…` of what proves this gateway: its keys, the authorities of hosts, and for HTTPS the X.509 roots. */
async function trustedHosts(
  hostKeys: IdentityParts["hostKeys"],
  authority: CertificateAuthority,
): Promise<string[]> {
  const { host, x509 } = await authority.authorities();
  const keys = [...host, ...hostKeys.map(({ publicKey }) => publicKey)];
  return await Promise.all([...keys.map((key) => key.fingerprint()), ...x509.map(certificateFingerprint)]);
}

/** The authority's records among the gateway's. Ids of tokens are no tokens, and are called so. */
export function recorder(audit: Audit): CaRecorder {
  return (name, details, { identity, remote }) => {
    const context = { ...(identity && { actor: identity }), ...(remote !== undefined && { remote }) };
    switch (name) {
      case "token.created":
      case "token.removed":
      case "key.enrolled":
      case "join.refused": {
        const { token: id, ...rest } = details as { readonly token: string } & Record<string, string>;
        const renamed = name.replace(/^token\./, "join_token.") as "join.refused";
        return audit.record(renamed, { id, ...rest } as never, context);
      }
      default:
        return audit.record(name as "cert.refused", details as never, context);
    }
  };
}
