/** What SSH certificates of the authority hold. Pure: who signs and who keeps the books is `authority.ts`'s business. */
import { printable } from "../bytes/printable.ts";
import type { CertificateFields } from "../cert/certificate.ts";
import type { CredentialLimits, Identity } from "../identity/principal.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import { hostPrincipals, userPrincipals } from "./principals.ts";
import type { ChosenProfile, Lifetime } from "./profiles.ts";
import { commonAddresses } from "./source_addresses.ts";
import { CaError } from "./types.ts";

/** Milliseconds before now from which certificates are valid: clocks that are a little behind take them too. */
export const BACKDATED = 60_000;
/** NIST SP 800-57: below it RSA has less than 112 bits of strength. */
const MINIMUM_RSA_BITS = 2048;
/** Characters of a key id: it is printed in everybody's log. */
const MAX_KEY_ID = 512;

/** What makes one certificate different from another for the same bearer. */
export interface SshIssue {
  readonly publicKey: PublicKey;
  readonly identity: Identity;
  readonly profile: ChosenProfile;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds that were asked for. */
  readonly lifetime?: number;
  readonly serial: bigint;
  /** For people, to find the certificate in the records. */
  readonly requestId: string;
}

/**
 * A user certificate: principals, options and time by profile, never more than the identity itself may.
 * @throws {CaError} `refused`, `invalid`
 */
export function userFields(issue: SshIssue): CertificateFields {
  const { identity, profile } = issue;
  return {
    ...commonFields(issue, lifetimeFor(issue, profile.lifetime)),
    role: "user",
    principals: userPrincipals(identity, profile.principals),
    criticalOptions: criticalOptions(identity.restrictions, profile),
    extensions: extensions(identity.restrictions, profile),
  };
}

/**
 * A host certificate for `names`, which the caller knows to be the holder's.
 * @throws {CaError} `refused`, `invalid`
 */
export function hostFields(
  issue: SshIssue,
  names: readonly string[],
  own: { readonly domain: string; readonly gateway: boolean },
): CertificateFields {
  return {
    ...commonFields(issue, hostLifetimeFor(issue)),
    role: "host",
    principals: hostPrincipals(names, own),
  };
}

function commonFields(issue: SshIssue, lifetime: number) {
  requireCertifiable(issue.publicKey);
  const { now } = issue;
  const end = now + lifetime;
  return {
    publicKey: issue.publicKey,
    serial: issue.serial,
    keyId: keyId(issue.identity, issue.requestId),
    validAfter: BigInt(Math.floor((now - BACKDATED) / 1000)),
    validBefore: BigInt(Math.floor(end / 1000)),
  };
}

/** What a lifetime depends on. */
type Lasting = Pick<SshIssue, "identity" | "profile" | "now" | "lifetime">;

/**
 * Milliseconds that a certificate may last that says who somebody is: as asked, or the default, and never longer than
 * what it is got with.
 * @throws {CaError} `invalid` for more than the maximum, `refused` when nothing is left
 */
export function lifetimeFor(issue: Lasting, allowed: Lifetime): number {
  return Math.min(permitted(issue, allowed), timeLeft(issue));
}

/** A host certificate proves a name and not a sign-in: its time is its own, unless a certificate begets it. */
function hostLifetimeFor(issue: Lasting): number {
  const lifetime = permitted(issue, issue.profile.hostLifetime);
  const left = timeLeft(issue);
  return issue.identity.kind === "x509" ? Math.min(lifetime, left) : lifetime;
}

function permitted({ profile, lifetime }: Lasting, allowed: Lifetime): number {
  const wanted = lifetime ?? allowed.default;
  if (!(wanted >= 1000)) throw new CaError("invalid", "a certificate lasts for a second at least");
  if (wanted <= allowed.max) return wanted;
  throw new CaError(
    "invalid",
    `certificates last ${seconds(allowed.max)} at most by the profile '${profile.name}', not ${
      seconds(wanted)
    }`,
  );
}

function timeLeft({ identity, now }: Lasting): number {
  const left = (identity.expiresAt ?? Infinity) - now;
  if (left >= 1000) return left;
  throw new CaError("refused", "the credential that it is asked with has expired: sign in again");
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** `ann@mycorp.com issuer=https://id.example request=…`: for people and logs, never for decisions. */
export function keyId({ name, issuer }: Pick<Identity, "name" | "issuer">, requestId: string): string {
  const word = (text: string) => printable(text).replaceAll(/[\p{C}\p{Z}]/gu, "_");
  const tail = ` request=${requestId}`;
  return `${word(name)} issuer=${word(issuer)}`.slice(0, MAX_KEY_ID - tail.length) + tail;
}

/**
 * Refuses keys that nobody should trust.
 * @throws {CaError} `invalid`
 */
export function requireCertifiable({ type, bits }: PublicKey): void {
  if (type === "ssh-rsa" && bits < MINIMUM_RSA_BITS) {
    throw new CaError("invalid", `an RSA key of ${bits} bits is too weak: ${MINIMUM_RSA_BITS} are the least`);
  }
}

/**
 * The key of an `id.pub` file, as somebody sent it to have it certified.
 * @throws {CaError} `invalid` for what is no public key, a weak one, a certificate, or several
 */
export function parseRequestedKey(text: string): PublicKey {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (lines.length !== 1) {
    throw new CaError("invalid", "one line is expected: that of the public key, as in id_ed25519.pub");
  }
  if (lines[0].startsWith("ssh-dss ")) throw new CaError("invalid", "DSA keys are too weak to be certified");
  try {
    const { key, certificate } = parsePublicKeyLine(lines[0]);
    if (certificate) {
      throw new CaError("invalid", "this is a certificate: send the public key, as in id_ed25519.pub");
    }
    requireCertifiable(key);
    return key;
  } catch (cause) {
    if (cause instanceof KeyError) {
      throw new CaError("invalid", `this cannot be certified: ${printable(cause.message)}`, { cause });
    }
    throw cause;
  }
}

function extensions({ portForwarding }: CredentialLimits, profile: ChosenProfile): Map<string, string> {
  const granted = profile.extensions.filter((name) =>
    name !== "permit-port-forwarding" || portForwarding !== false
  );
  return new Map(granted.map((name) => [name, ""]));
}

/** What restricts the identity restricts its certificate, and what the profile adds does too. */
function criticalOptions(identity: CredentialLimits, profile: ChosenProfile): Map<string, string> {
  const options = new Map<string, string>();
  const commands = [identity.forceCommand, profile.forceCommand].filter((command) => command !== undefined);
  if (new Set(commands).size > 1) {
    throw new CaError("refused", `the credential and the profile '${profile.name}' force different commands`);
  }
  if (commands.length > 0) options.set("force-command", forcedCommand(commands[0]));
  const addresses = commonAddresses(identity.sourceAddresses, profile.sourceAddresses);
  if (addresses) options.set("source-address", addresses.join(","));
  return options;
}

function forcedCommand(command: string): string {
  // An empty option would read as a flag, and to some verifiers as no command at all.
  if (command.trim() === "" || command.includes("\0") || !command.isWellFormed()) {
    throw new CaError("refused", "the command that the credential forces cannot be put into a certificate");
  }
  return command;
}
