/** What this gateway is to other gateways. */
import { equal } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { parseCertificate } from "../../cert/certificate.ts";
import { plainType } from "../../keys/key_types.ts";
import type { Bytes } from "../../bytes/bytes.ts";
import type { PrivateKey } from "../../keys/private_key.ts";
import type { Target } from "../../routing/target.ts";
import { LeasePaths } from "./path.ts";

/** The blob of the key that a server showed, certified or not. */
function plainBlob(shown: Bytes): Bytes {
  const isCertificate = plainType(new Reader(shown).text()) !== undefined;
  return isCertificate ? parseCertificate(shown).publicKey.blob : shown;
}

export class MeshSelf {
  readonly paths = new LeasePaths();
  readonly #hostKeys: readonly PrivateKey[];

  /**
   * @param id fingerprint of the first host key
   * @param entrance opens connections to this gateway itself, as if they had come in on its port
   */
  private constructor(readonly id: string, hostKeys: readonly PrivateKey[], readonly entrance: Target) {
    this.#hostKeys = hostKeys;
  }

  static async from(hostKeys: readonly PrivateKey[], entrance: Target): Promise<MeshSelf> {
    return new MeshSelf(await hostKeys[0].publicKey.fingerprint(), hostKeys, entrance);
  }

  /** Signs with the host key that a connection has proved. @param shown its blob, or its certificate's */
  async sign(shown: Bytes, data: Bytes): Promise<Bytes> {
    const hostKey = plainBlob(shown);
    const key = this.#hostKeys.find(({ publicKey }) => equal(publicKey.blob, hostKey)) ?? this.#hostKeys[0];
    const [algorithm] = key.publicKey.signatureAlgorithms;
    return await key.sign(algorithm, data);
  }
}
