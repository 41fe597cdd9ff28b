/** How a certificate comes to be: who asks, what goes into it, what is kept of it. */
import { equal, randomBytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { type CertificateFields, parseCertificate, signCertificate } from "../cert/certificate.ts";
import type { CredentialLimits, Identity, IdentityKind } from "../identity/principal.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import type { PublicKey, Signer } from "../keys/types.ts";
import { X509Error } from "../x509/error.ts";
import { readCertificateRequest } from "../x509/request.ts";
import { randomX509Serial } from "../x509/serial.ts";
import { type Bearer, identityHash, type Issued, randomSerial } from "./issued.ts";
import type { AuthorityParts, IssuedRecord, RootKind } from "./local.ts";
import { Pace } from "./pace.ts";
import { hostPrincipals } from "./principals.ts";
import { chooseProfile, type ChosenProfile, narrowed } from "./profiles.ts";
import type { Revocations } from "./revocations.ts";
import { sshKeyOfSpki } from "./root_files.ts";
import type { Roots } from "./roots.ts";
import { hostFields, lifetimeFor, type SshIssue, userFields } from "./ssh.ts";
import {
  CaError,
  type HostCertificateRequest,
  type IssuedSshCertificate,
  type IssuedX509Certificate,
  type UserCertificateRequest,
  type X509CertificateRequest,
} from "./types.ts";
import { issueX509 } from "./x509.ts";

type Request = UserCertificateRequest | HostCertificateRequest | X509CertificateRequest;
type IssuingParts = Pick<AuthorityParts, "clock" | "config" | "record" | "stands">;

/** Whose credential gets no certificate, and why. X.509 gets one for SSH: that is how it logs in there. */
const NO_CERTIFICATE: Readonly<Partial<Record<IdentityKind, string>>> = {
  "ssh-cert": "a certificate gets no certificate: ask with a key or a token",
  "join": "a join token enrols a key, and gets no certificate itself",
  "anonymous": "nobody in particular gets no certificate: sign in",
};
const NO_X509 = "a certificate gets no certificate of its kind: ask with a key or a token";

/** Each is judged, put on record, signed, and judged once more before it leaves. */
export class Issuing {
  readonly #parts: IssuingParts;
  readonly #roots: Roots;
  readonly #issued: Issued;
  readonly #revocations: Revocations;
  readonly #pace: Pace;

  constructor(parts: IssuingParts, roots: Roots, issued: Issued, revocations: Revocations) {
    this.#parts = parts;
    this.#roots = roots;
    this.#issued = issued;
    this.#revocations = revocations;
    this.#pace = new Pace(parts.clock);
  }

  async issueUser(request: UserCertificateRequest): Promise<IssuedSshCertificate> {
    return await this.#recorded("user", request, async (profile, parent) => {
      const { user: signer } = this.#roots.at(this.#parts.clock.now());
      return await this.#issueSsh("user", request, { profile, parent, signer }, (issue) => userFields(issue));
    });
  }

  async issueHost(request: HostCertificateRequest): Promise<IssuedSshCertificate> {
    return await this.#recorded("host", request, async (profile, parent) => {
      const { host: signer } = this.#roots.at(this.#parts.clock.now());
      const { names, gateway = false } = request;
      const own = { domain: this.#parts.config.domain, gateway };
      const by = { profile, parent, signer };
      return await this.#issueSsh("host", request, by, (issue) => hostFields(issue, names, own));
    });
  }

  async issueX509(request: X509CertificateRequest): Promise<IssuedX509Certificate> {
    return await this.#recorded("x509", request, (profile) => this.#issueX509(request, profile));
  }

  /** Runs `issue`; leaves one record when nothing comes of it. */
  async #recorded<T>(
    kind: RootKind,
    request: Request,
    issue: (profile: ChosenProfile, parent?: IssuedRecord) => Promise<T>,
  ): Promise<T> {
    const { identity, remote } = request;
    try {
      const refusal = NO_CERTIFICATE[identity.kind];
      if (refusal) throw new CaError("refused", refusal);
      // Owners may anything here; whoever else is let in may ask for certificates without end.
      if (!identity.owner && !this.#pace.take(await identityHash(identity))) {
        throw new CaError(
          "unavailable",
          "this identity has got very many certificates just now: ask again later",
        );
      }
      const { profiles } = this.#parts.config;
      const parent = await this.#parentOf(identity);
      const above = parent && profiles.find(({ name }) => name === parent.profile);
      return await issue(narrowed(chooseProfile(profiles, identity), above), parent);
    } catch (error) {
      if (error instanceof CaError) {
        const { code, message: reason } = error;
        this.#parts.record("cert.refused", { kind, code, reason }, { identity, remote });
      }
      throw error;
    }
  }

  /** The record of the X.509 certificate that somebody comes with, where it is one of ours. */
  async #parentOf(
    { kind, credential: { serial, fingerprint } }: Identity,
  ): Promise<IssuedRecord | undefined> {
    if (kind !== "x509" || serial === undefined) return undefined;
    const record = await this.#issued.x509(serial.toLowerCase());
    // Another root may have given the same serial number, though never for this key.
    return record?.fingerprint === fingerprint ? record : undefined;
  }

  async #issueSsh(
    kind: "user" | "host",
    request: UserCertificateRequest | HostCertificateRequest,
    { profile, parent, signer }: {
      readonly profile: ChosenProfile;
      readonly parent?: IssuedRecord;
      readonly signer: Signer;
    },
    describe: (issue: SshIssue) => CertificateFields,
  ): Promise<IssuedSshCertificate> {
    const { identity, publicKey, lifetime } = request;
    const now = this.#parts.clock.now();
    const fingerprint = await publicKey.fingerprint();
    const bearer: Bearer = {
      identity: await identityHash(identity),
      fingerprint,
      ...(parent && {
        parent: {
          identity: await identityHash(parent),
          fingerprint: parent.fingerprint,
          serial: parent.serial,
        },
      }),
    };
    await this.#requireUnrevoked(bearer);
    if (this.#isOwn(publicKey)) {
      throw new CaError("refused", "this is a key of the authority, and certified by nobody");
    }
    const requestId = encodeHex(randomBytes(8));
    // Everything but the serial number: what is refused needs none.
    const fields = describe({ identity, publicKey, profile, now, lifetime, requestId, serial: 1n });
    const { serial, record } = await this.#issued.keep("ssh", bearer, randomSerial, (serial) => ({
      ...holderOf(identity),
      kind,
      serial: serial.toString(),
      keyId: fields.keyId,
      principals: fields.principals,
      fingerprint,
      profile: profile.name,
      ...(bearer.parent && { parent: bearer.parent }),
      issuedAt: now,
      expiresAt: Number(fields.validBefore) * 1000,
    }));
    const blob = await signCertificate({ ...fields, serial }, signer);
    await this.#requireStanding(identity, bearer);
    this.#recordIssued(record, profile, request);
    return { certificate: parseCertificate(blob), line: formatPublicKey(blob, identity.name) };
  }

  async #issueX509(request: X509CertificateRequest, profile: ChosenProfile): Promise<IssuedX509Certificate> {
    const { csr, identity, names, gateway = false } = request;
    const { config } = this.#parts;
    if (identity.kind === "x509") throw new CaError("refused", NO_X509);
    requireUnrestricted(identity.restrictions);
    if (names.length > 0 && !gateway) hostPrincipals(names, { domain: config.domain, gateway });
    const now = this.#parts.clock.now();
    const lifetime = lifetimeFor({ identity, profile, now, lifetime: request.lifetime }, profile.lifetime);
    const fingerprint = await fingerprintOfRequest(csr);
    const bearer = { identity: await identityHash(identity), fingerprint };
    await this.#requireUnrevoked(bearer);
    const { serial, record } = await this.#issued.keep("x509", bearer, randomX509Serial, (serial) => ({
      ...holderOf(identity),
      kind: "x509",
      serial,
      keyId: "",
      principals: names,
      fingerprint,
      profile: profile.name,
      issuedAt: now,
      expiresAt: now + lifetime,
    }));
    const issued = await issueX509({
      root: this.#roots.at(now).x509,
      key: { csr },
      identity,
      names,
      gateway,
      trustDomains: [config.trustDomain, ...config.trustDomains ?? []],
      lifetime,
      now,
      serial,
    });
    await this.#requireStanding(identity, bearer);
    this.#recordIssued({ ...record, expiresAt: issued.expiresAt }, profile, request);
    return issued;
  }

  #recordIssued(record: IssuedRecord, profile: ChosenProfile, { identity, remote }: Request): void {
    const { kind, serial, principals, expiresAt, keyId, fingerprint } = record;
    const expires = new Date(expiresAt).toISOString();
    const details = { kind, serial, principals, expires, profile: profile.name, fingerprint };
    this.#parts.record("cert.issued", { ...details, ...(keyId && { keyId }) }, { identity, remote });
  }

  async #requireUnrevoked(bearer: Bearer): Promise<void> {
    const fault = await this.#revocations.faultOf(bearer);
    if (fault) throw new CaError("refused", `${fault}: it gets no certificate`);
  }

  /**
   * Asked when the certificate is on record: whoever revokes looks through the records after he has revoked. So one of
   * the two sees the other, and nothing that is revoked meanwhile leaves.
   */
  async #requireStanding(identity: Identity, bearer: Bearer): Promise<void> {
    await this.#requireUnrevoked(bearer);
    if (await this.#parts.stands?.(identity) === false) {
      throw new CaError("refused", "the credential that it was asked with has been taken back");
    }
  }

  #isOwn({ blob }: PublicKey): boolean {
    const { user, host } = this.#roots.at(this.#parts.clock.now()).authorities;
    return [...user, ...host].some((root) => equal(root.blob, blob));
  }
}

function holderOf({ issuer, subject, name }: Identity): Pick<IssuedRecord, "issuer" | "subject" | "name"> {
  return { issuer, subject, name };
}

/** What restricts a credential cannot be said in X.509, and must not be lost. @throws {CaError} `refused` */
function requireUnrestricted({ sourceAddresses, forceCommand, portForwarding }: CredentialLimits): void {
  if (sourceAddresses === undefined && forceCommand === undefined && portForwarding !== false) return;
  throw new CaError("refused", "the credential is restricted in a way that no X.509 certificate can carry");
}

/** Of the key that a request is for: as SSH has it, where SSH has such keys. @throws {CaError} `invalid` */
async function fingerprintOfRequest(csr: X509CertificateRequest["csr"]): Promise<string> {
  try {
    const { publicKey: { rawData } } = await readCertificateRequest(csr);
    const key = await sshKeyOfSpki(rawData);
    return await key?.fingerprint() ??
      encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", rawData)));
  } catch (cause) {
    if (cause instanceof X509Error) throw new CaError("invalid", cause.message, { cause });
    throw cause;
  }
}
