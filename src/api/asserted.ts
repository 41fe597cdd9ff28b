/**
 * Identities that a gateway vouches for. What it calls `enrolled` was enrolled there and not here: the issuer gets the
 * gateway's name behind it, wherever it is written down here, and loses it again where that gateway reads it.
 */
import { decodeIdentity } from "../ca/messages.ts";
import type { Revocation } from "../ca/types.ts";
import { ENROLLED_ISSUER, type Identity, type IdentityRef } from "../identity/principal.ts";

/** Issuers that mean another thing at each gateway. All others are one and the same everywhere. */
const LOCAL_ISSUERS: ReadonlySet<string> = new Set([ENROLLED_ISSUER, "gateway"]);

type Gateway = Pick<Identity, "name">;

/** @param gateway who vouches */
export function assertedIdentity(asserted: Parameters<typeof decodeIdentity>[0], gateway: Gateway): Identity {
  const identity = decodeIdentity(asserted);
  return { ...identity, issuer: issuerAt(identity.issuer, gateway) };
}

/** As it is written down here. */
export function revocationFrom(revocation: Revocation, gateway: Gateway): Revocation {
  if (revocation.kind !== "identity") return revocation;
  return { ...revocation, issuer: issuerAt(revocation.issuer, gateway) };
}

/** As it is written down here. */
export function bearerFrom({ issuer, subject }: IdentityRef, gateway: Gateway): IdentityRef {
  return { issuer: issuerAt(issuer, gateway), subject };
}

/** As the gateway knows it. */
export function revocationFor(revocation: Revocation, gateway: Gateway): Revocation {
  if (revocation.kind !== "identity") return revocation;
  const known = [...LOCAL_ISSUERS].find((issuer) => issuerAt(issuer, gateway) === revocation.issuer);
  return known === undefined ? revocation : { ...revocation, issuer: known };
}

function issuerAt(issuer: string, { name }: Gateway): string {
  return LOCAL_ISSUERS.has(issuer) ? `${issuer}:${name}` : issuer;
}
