/**
 * What a gateway proves itself with to an authority elsewhere: a key of its own in the state folder, and a client
 * certificate that a join token was spent for, renewed by itself at two thirds of its lifetime.
 */
import { z } from "zod";
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { encodeBase64 } from "../bytes/encoding.ts";
import { atTime, type Clock } from "../platform/clock.ts";
import type { StateFolder } from "../platform/state.ts";
import type { TlsIdentity } from "../platform/web.ts";
import { type AuthorityLink, readAnswer } from "./authority_link.ts";
import { makeClientKey } from "./client_key.ts";
import { joinAnswer, x509CertificateAnswer } from "./messages.ts";
import { CaError } from "./types.ts";

/** File in the state folder. */
export const CREDENTIAL_FILE = "remote_ca.json";
/** Renewed when so much of its life has passed: a third is left for an authority that is away. */
const RENEWAL = 2 / 3;
/** Milliseconds between two attempts to renew. */
const RENEWAL_RETRY = 30_000;

const kept = z.strictObject({
  url: z.string(),
  /** PEM (PKCS #8). */
  private_key: z.string(),
  /** Base64. */
  csr: z.base64(),
  /** Absent: the key was made, and no answer came. */
  certified: z.strictObject({
    certificate: z.string(),
    expires: z.iso.datetime(),
    /** When it is to be renewed. */
    renew: z.iso.datetime(),
  }).optional(),
  /** PEM of roots that the authority has told of over a connection that was verified. */
  roots: z.array(z.string()),
});
type Kept = z.infer<typeof kept>;

export interface CredentialOptions {
  readonly state: Pick<StateFolder, "read" | "write">;
  readonly clock: Clock;
  /** Told when it cannot be renewed, and with nothing when it was after all. Must not throw. */
  readonly onTrouble?: (error?: Error) => void;
}

/** The credential as it is now. */
export class GatewayCredential {
  readonly #options: CredentialOptions;
  readonly url: string;
  #kept?: Kept;
  #writing: Promise<void> = Promise.resolve();
  #cancel?: () => void;
  #troubled = false;

  private constructor(url: string, options: CredentialOptions, kept: Kept | undefined) {
    this.url = url;
    this.#options = options;
    this.#kept = kept;
  }

  /** Reads what the state folder has for `url`; what is for another authority is as if it were not there. */
  static async open(url: string, options: CredentialOptions): Promise<GatewayCredential> {
    const content = await options.state.read(CREDENTIAL_FILE);
    const parsed = content && kept.safeParse(parseJson(decodeText(content)));
    return new GatewayCredential(url, options, parsed?.data?.url === url ? parsed.data : undefined);
  }

  /** For TLS; undefined before the first one was got. */
  get tls(): TlsIdentity | undefined {
    const { certified, private_key: privateKey } = this.#kept ?? {};
    return certified && { certificate: certified.certificate, privateKey: privateKey! };
  }

  /** PEM. */
  get roots(): readonly string[] {
    return this.#kept?.roots ?? [];
  }

  /** Whether there ever was one. */
  get wasGiven(): boolean {
    return this.#kept?.certified !== undefined;
  }

  /** Whether there is one that has not run out. */
  get isValid(): boolean {
    const { certified } = this.#kept ?? {};
    return certified !== undefined && Date.parse(certified.expires) > this.#options.clock.now();
  }

  /**
   * Spends a join token for a certificate. The key is kept before it is enrolled: whoever did not hear the answer, or was
   * away for longer than its certificate lasted, comes again with the same token and key.
   * @param link whose `self` sends the token
   * @param roots PEM of those that the connection was verified with
   * @throws {CaError}
   */
  async join(link: AuthorityLink, roots: readonly string[]): Promise<void> {
    if (!this.#kept) {
      const { privateKey, csr } = await makeClientKey();
      await this.#write({
        url: this.url,
        private_key: privateKey,
        csr: encodeBase64(csr),
        roots: [...roots],
      });
    }
    const answer = await link.once("/api/v1/join", { as: "self", body: { csr: this.#kept!.csr } });
    await this.#keep({ ...this.#kept!, roots: [...roots] }, await readAnswer(link, answer, joinAnswer));
  }

  /** Keeps roots that the authority has told of. */
  async learn(roots: readonly string[]): Promise<void> {
    if (!this.#kept || JSON.stringify(roots) === JSON.stringify(this.#kept.roots)) return;
    await this.#write({ ...this.#kept, roots: [...roots] });
  }

  /**
   * Renews it whenever it is time, until {@link close}.
   * @param link whose `self` proves itself with this credential
   * @param joinAgain for when it has run out, and proves nothing any more
   */
  start(link: AuthorityLink, joinAgain?: () => Promise<void>): void {
    const now = this.#options.clock.now();
    const { certified } = this.#kept ?? {};
    const due = certified ? Date.parse(certified.renew) : now;
    const renew = () => void this.#renew(link, joinAgain);
    this.#cancel = atTime(this.#options.clock, Math.max(due, now), renew);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #renew(link: AuthorityLink, joinAgain?: () => Promise<void>): Promise<void> {
    try {
      if (!this.isValid && joinAgain) {
        await joinAgain();
      } else {
        const body = { csr: this.#kept!.csr };
        const answer = await link.send("/api/v1/certs/x509", { as: "self", body });
        const renewed = await readAnswer(link, answer, x509CertificateAnswer);
        await this.#keep(this.#kept!, renewed);
      }
      this.#tell();
      if (this.#cancel) this.start(link, joinAgain);
    } catch (error) {
      this.#tell(error instanceof Error ? error : new Error(String(error)));
      const again = () => void this.#renew(link, joinAgain);
      if (this.#cancel) this.#cancel = this.#options.clock.after(RENEWAL_RETRY, again);
    }
  }

  #keep(key: Kept, { certificate, chain, expires }: z.infer<typeof x509CertificateAnswer>): Promise<void> {
    const now = this.#options.clock.now();
    const lifetime = Date.parse(expires) - now;
    if (!(lifetime > 0)) {
      throw new CaError(
        "unavailable",
        "the certificate for this gateway has expired already: a clock is wrong",
      );
    }
    // The root is not sent: who has it needs it not, who has it not believes it not.
    const sent = [certificate, ...chain.slice(0, -1)].map((pem) => `${pem.trim()}\n`).join("");
    const renew = new Date(now + lifetime * RENEWAL).toISOString();
    return this.#write({ ...key, certified: { certificate: sent, expires, renew } });
  }

  /** Writes follow one another, and the last one has it all. */
  #write(value: Kept): Promise<void> {
    this.#kept = value;
    const content = encodeText(JSON.stringify(value));
    this.#writing = this.#writing.catch(() => {}).then(() =>
      this.#options.state.write(CREDENTIAL_FILE, content)
    );
    return this.#writing;
  }

  #tell(error?: Error): void {
    if (this.#troubled === (error !== undefined)) return;
    this.#troubled = error !== undefined;
    this.#options.onTrouble?.(error);
  }
}

/** What is not JSON is as if it were not there. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
