/** Whom the gateway knows: keys that log in, and authorities whose certificates do. Immutable: replaced as a whole. */
import type { AuthorizedKey } from "../keys/authorized_keys.ts";
import type { Certificate } from "../cert/types.ts";
import type { PublicKey } from "../keys/types.ts";

/** One line of an authorized_keys file, and what it makes of its holder. */
export interface KnownKey {
  readonly entry: AuthorizedKey;
  /** May do everything here that no rule denies. Never true for authorities. */
  readonly owner: boolean;
  /** With `cert-authority`: the trust domain whose workloads it vouches for, normalised. */
  readonly trustDomain?: string;
  /** Where it stands: `/home/ann/.ssh/authorized_keys:3`. */
  readonly source: string;
}

export interface Keyring {
  readonly known: readonly KnownKey[];
  /** Trust domains that e-mail addresses must not lie under, normalised: everybody's. */
  readonly trustDomains: readonly string[];
  /** Whether a key, or a certificate, its key or its authority, counts no more. */
  isRevoked(
    proof: { readonly key: PublicKey; readonly certificate?: Certificate },
  ): boolean | Promise<boolean>;
}

/** Lines of plain keys that make owners. */
export function ownerKeys({ known }: Keyring): KnownKey[] {
  return known.filter(({ owner }) => owner);
}
