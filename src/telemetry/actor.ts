/** Who did something, as records tell it. */

/** The part of an identity that records hold; an `Identity` fits. */
export interface Actor {
  readonly kind: string;
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  readonly credential: {
    readonly fingerprint?: string;
    readonly serial?: string;
    readonly keyId?: string;
  };
}

/** Exactly the recorded part of `actor`: claims, e-mail addresses and groups stay out of records. */
export function actorOf({ kind, issuer, subject, name, credential }: Actor): Actor {
  const { fingerprint, serial, keyId } = credential;
  return {
    kind,
    issuer,
    subject,
    name,
    credential: {
      ...(fingerprint !== undefined && { fingerprint }),
      ...(serial !== undefined && { serial }),
      ...(keyId !== undefined && { keyId }),
    },
  };
}
