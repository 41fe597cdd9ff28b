/**
 * What a gateway proves itself with to an authority elsewhere: a key of its own in the state folder, and a client
 * certificate that a join token was spent for, renewed by itself at two thirds of its lifetime.
 */
import { z } from "zod";
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { encodeBase64 } from "../bytes/encoding.ts";
import { afterLong, type Clock } from "../platform/clock.ts";
import type { StateFolder } from "../platform/state.ts";
import type { TlsIdentity } from "../platform/web.ts";
import { type AuthorityLink, readAnswer } from "./authority_link.ts";
import { makeClientKey } from "./client_key.ts";
import { x509CertificateAnswer } from "./messages.ts";
import { CaError } from "./types.ts";

/** File in the state folder. */
export const CREDENTIAL_FILE = "remote_ca.json";
/** Milliseconds between two attempts to renew. */
const RENEWAL_RETRY = 30_000;

const kept = z.strictObject({
  url: z.string(),
  /** PEM (PKCS #8). */
  private_key: z.string(),
  /** Base64. */
  csr: z.base64(),
  certificate: z.string(),
  expires: z.iso.datetime(),
  /** When it is to be renewed. */
  renew: z.iso.datetime(),
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
    return this.#kept && { certificate: this.#kept.certificate, privateKey: this.#kept.private_key };
  }

  /** PEM. */
  get roots(): readonly string[] {
    return this.#kept?.roots ?? [];
  }

  /** Whether there is one that has not run out. */
  get isValid(): boolean {
    return this.#kept !== undefined && Date.parse(this.#kept.expires) > this.#options.clock.now();
  }

  /**
   * Spends a join token for a new key and certificate.
   * @param link whose `self` sends the token
   * @param roots PEM of those that the connection was verified with
   * @throws {CaError}
   */
  async join(link: AuthorityLink, roots: readonly string[]): Promise<void> {
    const { privateKey, csr } = await makeClientKey();
    const answer = await link.once("/api/v1/join", { as: "self", body: { csr: encodeBase64(csr) } });
    const got = await readAnswer(link, answer, z.object(x509CertificateAnswer.shape));
    await this.#keep(
      { url: this.url, private_key: privateKey, csr: encodeBase64(csr), roots: [...roots] },
      got,
    );
  }

  /** Keeps roots that the authority has told of. */
  async learn(roots: readonly string[]): Promise<void> {
    if (!this.#kept || JSON.stringify(roots) === JSON.stringify(this.#kept.roots)) return;
    await this.#write({ ...this.#kept, roots: [...roots] });
  }

  /** Renews it whenever it is time, until {@link close}. @param link whose `self` proves itself with this credential */
  start(link: AuthorityLink): void {
    const now = this.#options.clock.now();
    const due = this.#kept ? Date.parse(this.#kept.renew) - now : 0;
    this.#cancel = afterLong(this.#options.clock, Math.max(due, 0), () => void this.#renew(link));
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #renew(link: AuthorityLink): Promise<void> {
    const { clock } = this.#options;
    try {
      const { csr, certificate: _old, expires: _end, renew: _due, ...same } = this.#kept!;
      const answer = await link.send("/api/v1/certs/x509", { as: "self", body: { csr } });
      await this.#keep({ ...same, csr }, await readAnswer(link, answer, x509CertificateAnswer));
      this.#tell();
      if (this.#cancel) this.start(link);
    } catch (error) {
      this.#tell(error instanceof Error ? error : new Error(String(error)));
      if (this.#cancel) this.#cancel = clock.after(RENEWAL_RETRY, () => void this.#renew(link));
    }
  }

  #keep(
    same: Omit<Kept, "certificate" | "expires" | "renew">,
    { certificate, chain, expires }: z.infer<typeof x509CertificateAnswer>,
  ): Promise<void> {
    const now = this.#options.clock.now();
    const lifetime = Date.parse(expires) - now;
    if (!(lifetime > 0)) {
      throw new CaError("unavailable", "the certificate for this gateway has expired already");
    }
    // The root is not sent: who has it needs it not, who has it not believes it not.
    const sent = [certificate, ...chain.slice(0, -1)].join("");
    return this.#write({
      ...same,
      certificate: sent,
      expires,
      renew: new Date(now + lifetime * 2 / 3).toISOString(),
    });
  }

  async #write(value: Kept): Promise<void> {
    await this.#options.state.write(CREDENTIAL_FILE, encodeText(JSON.stringify(value)));
    this.#kept = value;
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
