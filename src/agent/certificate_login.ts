/** The judgement of a user certificate: whoever is trusted, what is asked of it is the same. */
import { checkCertificate } from "../cert/check.ts";
import { restrictionsUnderLine } from "../cert/options.ts";
import type { Certificate } from "../cert/types.ts";
import type { AuthorizedKey } from "../keys/authorized_keys.ts";
import type { Restrictions } from "../keys/restrictions.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Admission } from "./admission.ts";

/** When and from where a certificate is shown, and what counts against it. */
export interface TrialContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly address?: string;
  /** Whether a key, a certificate or what it stands on was taken back. Undefined: nobody says so, or it was asked before. */
  readonly revoked?: (subject: PublicKey | Certificate) => Promise<boolean>;
  /** How authorities may sign; undefined: in any way that is known. */
  readonly signatureAlgorithms?: readonly string[];
}

/** One certificate before its judges, who ask one after the other until one admits it. */
export class CertificateTrial {
  readonly #certificate: Certificate;
  readonly #context: TrialContext;
  #refused = "untrusted-authority";
  /** The principal that the last check found. */
  #as = "";

  constructor(certificate: Certificate, context: TrialContext) {
    this.#certificate = certificate;
    this.#context = context;
  }

  /** Why the last who asked did not admit it. For the log alone. */
  get refused(): string {
    return this.#refused;
  }

  /** Whether it counts now, from here, for one of `principals`. That its authority is trusted is the caller's to know. */
  async check(principals: readonly string[]): Promise<boolean> {
    const { now, address, revoked, signatureAlgorithms } = this.#context;
    const fault = await checkCertificate(this.#certificate, {
      role: "user",
      principals,
      now,
      trusted: () => true,
      revoked,
      signatureAlgorithms,
      peerAddress: address,
    });
    if (fault) this.#refused = fault;
    else this.#as = this.#certificate.principals.find((name) => principals.includes(name)) ?? "";
    return fault === undefined;
  }

  /** Lets it in under `restrictions`; undefined, where there is nothing that both `source` and it permit, refuses it. */
  admit(restrictions: Restrictions | undefined, source: string): Admission | undefined {
    if (restrictions) {
      const { keyId, serial } = this.#certificate;
      return {
        restrictions,
        credential: `certificate "${keyId}" serial ${serial}${this.#as && ` as ${this.#as}`}`,
      };
    }
    this.#refused = `${source} and certificate force different commands`;
  }

  /**
   * Asks the `cert-authority` lines about its authority.
   * @param principals for lines without `principals=`
   */
  async underLines(
    lines: readonly AuthorizedKey[],
    principals: readonly string[],
  ): Promise<Admission | undefined> {
    for (const line of lines) {
      if (!await this.check(line.principals ?? principals)) continue;
      const admission = this.admit(restrictionsUnderLine(this.#certificate, line), "line");
      if (admission) return admission;
    }
  }
}
