/** From a key or certificate, proven by a signature, to an identity. */
import { checkCertificate } from "../cert/check.ts";
import { restrictionsUnderLine, sourceAddress } from "../cert/options.ts";
import type { Certificate } from "../cert/types.ts";
import { certificateIdentity } from "../identity/ssh_certificate.ts";
import { type Identity, IdentityError, keyIdentity } from "../identity/principal.ts";
import { equal } from "../bytes/bytes.ts";
import { findAuthorizedKey, lineApplies } from "../keys/authorized_keys.ts";
import type { Restrictions } from "../keys/restrictions.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Keyring, KnownKey } from "./keyring.ts";

/** What a client showed. */
export interface Proof {
  readonly key: PublicKey;
  readonly certificate?: Certificate;
}

/** A client that was let in. */
export interface Login {
  readonly identity: Identity;
  /** Of its line and its certificate. */
  readonly restrictions: Restrictions;
  readonly proof: Proof;
}

export interface LoginRefusal {
  /** For the log: peers learn none of it. */
  readonly refused: string;
}

/** When and from where. To judge an open connection anew, give the time of its login: expiry ends only what is new. */
export interface LoginContext {
  readonly now: number;
  readonly address?: string;
}

/** Who the holder of `proof` is. Its possession was proven, or will be: the signature decides, not the question. */
export async function judgeLogin(
  keyring: Keyring,
  proof: Proof,
  context: LoginContext,
): Promise<Login | LoginRefusal> {
  if (await keyring.isRevoked(proof)) return { refused: "revoked" };
  const { certificate } = proof;
  return certificate
    ? await byCertificate(keyring, { ...proof, certificate }, context)
    : await byKey(keyring, proof, context);
}

async function byKey(keyring: Keyring, proof: Proof, context: LoginContext): Promise<Login | LoginRefusal> {
  const entry = findAuthorizedKey(keyring.known.map(({ entry }) => entry), proof.key, context);
  if (!entry) return { refused: "no line lets this key in from here and now" };
  const { owner } = keyring.known.find((known) => known.entry === entry)!;
  const { restrictions, expiresAt, comment } = entry;
  const identity = keyIdentity({
    fingerprint: await proof.key.fingerprint(),
    owner,
    comment,
    expiresAt,
    restrictions: {
      forceCommand: restrictions.forceCommand,
      portForwarding: restrictions.permitPortForwarding,
    },
  });
  return { identity, restrictions, proof };
}

async function byCertificate(
  keyring: Keyring,
  proof: Required<Proof>,
  context: LoginContext,
): Promise<Login | LoginRefusal> {
  const { certificate } = proof;
  const lines = authoritiesOf(keyring, certificate.signatureKey, context);
  let refused = "untrusted-authority";
  for (const line of lines) {
    const fault = await checkCertificate(certificate, {
      role: "user",
      // The login name means nothing here: whoever the certificate names is who it is, unless the line says whom it takes.
      principals: line.entry.principals ?? certificate.principals,
      now: context.now,
      trusted: () => true,
      peerAddress: context.address,
    });
    if (fault) {
      refused = fault;
      continue;
    }
    const restrictions = restrictionsUnderLine(certificate, line.entry);
    if (!restrictions) {
      refused = "line and certificate force different commands";
      continue;
    }
    try {
      return { identity: await identityOf(keyring, line, proof, restrictions), restrictions, proof };
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      refused = error.message;
    }
  }
  return { refused };
}

function authoritiesOf(keyring: Keyring, authority: PublicKey, context: LoginContext): KnownKey[] {
  return keyring.known.filter(({ entry }) =>
    entry.authority && equal(entry.key.blob, authority.blob) && lineApplies(entry, context)
  );
}

async function identityOf(
  keyring: Keyring,
  line: KnownKey,
  { key, certificate }: Required<Proof>,
  restrictions: Restrictions,
): Promise<Identity> {
  const identity = certificateIdentity(certificate, {
    fingerprint: await key.fingerprint(),
    authority: await certificate.signatureKey.fingerprint(),
    trustDomain: line.trustDomain,
    trustDomains: keyring.trustDomains,
    restrictions: {
      forceCommand: restrictions.forceCommand,
      sourceAddresses: sourceAddress(certificate)?.split(",").map((address) => address.trim()),
    },
  });
  const portForwarding = restrictions.permitPortForwarding;
  return { ...identity, restrictions: { ...identity.restrictions, portForwarding } };
}
