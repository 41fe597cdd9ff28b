/** The host key of the built-in server and its certificate, kept in the state folder. */
import { decodeText, encodeText, equal } from "../bytes/bytes.ts";
import { parseCertificate, withCertificate } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import type { PublicKey, Signer } from "../keys/types.ts";
import type { StateFolder } from "../platform/state.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import { readingFrom } from "./text_file.ts";

const HOST_KEY = "agent_host_ed25519_key";
const CERTIFICATE = `${HOST_KEY}-cert.pub`;

/** What the built-in server proves itself with. */
export class OwnHostKey {
  /** Without a certificate. */
  readonly key: Signer;
  readonly #state: StateFolder;
  #certified?: { readonly signer: Signer; readonly certificate: Certificate };

  private constructor(key: Signer, state: StateFolder) {
    this.key = key;
    this.#state = state;
  }

  /** The key, made when it is first needed, with the certificate beside it. @throws {AgentError | StateError} */
  static async load(state: StateFolder): Promise<OwnHostKey> {
    const saved = await state.read(HOST_KEY);
    if (!saved) {
      const key = await generatePrivateKey("ssh-ed25519", { comment: "ssh-mesh agent's host key" });
      await state.write(HOST_KEY, encodeText(formatPrivateKey(key)));
      return new OwnHostKey(key, state);
    }
    const path = `${state.path}/${HOST_KEY}`;
    const own = new OwnHostKey(await readingFrom(path, () => parsePrivateKey(decodeText(saved))), state);
    const line = await state.read(CERTIFICATE);
    if (line) {
      await readingFrom(`${state.path}/${CERTIFICATE}`, () => {
        const { certificate } = parsePublicKeyLine(decodeText(line));
        if (certificate) own.#use(parseCertificate(certificate));
      });
    }
    return own;
  }

  /**
   * For the next connection: with the certificate as long as it is valid. Clients that trust no authority are shown the
   * plain key of the same signer.
   * @param now milliseconds since 1970
   */
  signer(now: number): Signer {
    if (!this.#certified) return this.key;
    const { signer, certificate: { validBefore } } = this.#certified;
    return BigInt(Math.floor(now / 1000)) < validBefore ? signer : this.key;
  }

  /** Until when there is a certificate, in milliseconds since 1970. */
  get certifiedUntil(): number | undefined {
    return this.#certified && Number(this.#certified.certificate.validBefore) * 1000;
  }

  /** Whether the certificate in use is of this authority. */
  isSignedBy(authority: PublicKey): boolean {
    return this.#certified !== undefined &&
      equal(this.#certified.certificate.signatureKey.blob, authority.blob);
  }

  /** From the next connection on; those that are open keep what they were shown. */
  async certify(certificate: Certificate, gateway: GatewayAddress): Promise<void> {
    this.#use(certificate);
    const line = formatPublicKey(certificate.blob, formatGateway(gateway));
    await this.#state.write(CERTIFICATE, encodeText(`${line}\n`));
  }

  #use(certificate: Certificate): void {
    this.#certified = { signer: withCertificate(this.key, certificate.blob), certificate };
  }
}
