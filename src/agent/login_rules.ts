/** Who may log in on the built-in server, and what they may do there: authorized_keys and certificates. */
import { certificateRestrictions } from "../cert/options.ts";
import type { Certificate } from "../cert/types.ts";
import { equal } from "../bytes/bytes.ts";
import { type AuthorizedKey, findAuthorities, findAuthorizedKey } from "../keys/authorized_keys.ts";
import type { PublicKey } from "../keys/types.ts";
import type { PublicKeyRequest } from "../ssh/auth/server/types.ts";
import type { Admission, LoginRefusal } from "./admission.ts";
import { CertificateTrial } from "./certificate_login.ts";
import { type PrincipalGrant, principalsFor } from "./principals.ts";

/** Whom the agent lets in. */
export interface LoginRules {
  readonly keys: readonly AuthorizedKey[];
  /** Authorities whose certificates log in with one of `principals`. */
  readonly authorities: readonly PublicKey[];
  readonly principals: readonly PrincipalGrant[];
  /** Whether a key, a certificate or what it stands on was taken back. Undefined: nobody says so. */
  readonly isRevoked?: (subject: PublicKey | Certificate) => Promise<boolean>;
}

/** When and from where, and who the agent is. */
export interface LoginContext {
  readonly now: number;
  readonly address?: string;
  /** The account that the agent runs as. */
  readonly ownUser: string;
}

/**
 * Whether the key or certificate may log in as `user`. Possession of the key is the library's to check.
 * @param user an account's name, not necessarily the one that was asked for
 */
export async function judgeLogin(
  rules: LoginRules,
  { key, certificate }: Pick<PublicKeyRequest, "key" | "certificate">,
  user: string,
  context: LoginContext,
): Promise<Admission | LoginRefusal> {
  if (certificate) return await byCertificate(rules, certificate, user, context);
  // The lines are about the agent's own account: no file of it opens another one.
  const line = user === context.ownUser ? findAuthorizedKey(rules.keys, key, context) : undefined;
  if (!line) return { refused: "no line of authorized_keys lets this key in from here and now" };
  if (await rules.isRevoked?.(key)) return { refused: "revoked" };
  return { restrictions: line.restrictions, credential: await key.fingerprint() };
}

async function byCertificate(
  rules: LoginRules,
  certificate: Certificate,
  user: string,
  context: LoginContext,
): Promise<Admission | LoginRefusal> {
  const authority = certificate.signatureKey;
  const { now, address, ownUser } = context;
  const trial = new CertificateTrial(certificate, { now, address, revoked: rules.isRevoked });
  const named = principalsFor(user, ownUser, rules.principals);
  let admission: Admission | undefined;
  // Only principals that were named: that an authority may say who somebody is opens no shell.
  if (rules.authorities.some((trusted) => equal(trusted.blob, authority.blob)) && await trial.check(named)) {
    admission = trial.admit(certificateRestrictions(certificate), "authority");
  }
  if (!admission && user === ownUser) {
    // sshd(8): without `principals=` the login name must be one of the certificate's.
    admission = await trial.underLines(findAuthorities(rules.keys, authority, context), [user, ...named]);
  }
  return admission ?? { refused: trial.refused };
}
