/** A join token as the collection `join-tokens` keeps it, by its id, and whom it stands for before and after its use. */
import { encodeText } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { ENROLLED_ISSUER, type Identity } from "../identity/principal.ts";
import type { Stored } from "../store/types.ts";

/** Issuer of the identities that have a token and no key yet; the subject is the token's id. */
const JOIN_ISSUER = "join";

/** Without the secret, which is kept nowhere. */
export type KeptToken = {
  readonly name: string;
  /** Hexadecimal SHA-256 of the secret: it has 256 random bits, so nobody guesses it from that. */
  readonly secret: string;
  readonly by: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly used?: { readonly at: number; readonly fingerprint: string };
};

/** A token as people see it: without its secret. */
export interface JoinToken {
  readonly id: string;
  /** The full name that it gives. */
  readonly name: string;
  /** Name of who made it. */
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** When it was used, and for which key. */
  readonly usedAt?: number;
  readonly fingerprint?: string;
}

/** What people see of it. */
export function shown(
  { key, value: { name, by, createdAt, expiresAt, used } }: Stored<KeptToken>,
): JoinToken {
  const use = used && { usedAt: used.at, fingerprint: used.fingerprint };
  return { id: key, name, by, createdAt, expiresAt, ...use };
}

/** Its name is no machine's: rules for that machine are not for whoever has a token. */
export function holder({ key, value }: Stored<KeptToken>): Identity {
  return {
    kind: "join",
    issuer: JOIN_ISSUER,
    subject: key,
    name: `join:${key}`,
    groups: [],
    claims: {},
    owner: false,
    expiresAt: value.expiresAt,
    restrictions: {},
    credential: { keyId: key },
  };
}

/** The machine that has the key, since it used the token. */
export function enrolled(name: string, fingerprint: string, token: string): Identity {
  return {
    kind: "key",
    issuer: ENROLLED_ISSUER,
    subject: fingerprint,
    name,
    fqdn: name,
    groups: [],
    claims: {},
    owner: false,
    restrictions: {},
    credential: { fingerprint, keyId: token },
  };
}

/** Hexadecimal SHA-256 of a token's secret. */
export async function secretHash(secret: string): Promise<string> {
  return encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", encodeText(secret))));
}
