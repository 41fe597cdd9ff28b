/** What was revoked, written once however often it is asked for. */
import { type Bytes, concat, encodeText } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import type { Revoked } from "../ca/types.ts";
import { writeKrl } from "../cert/krl.ts";
import type { ApiOptions } from "./options.ts";

/** One state of it, as it is sent. */
interface Edition {
  readonly krl: Bytes;
  /** Entity tag of the list. */
  readonly tag: string;
  /** Another text for each edition. */
  readonly revocations: string;
}

export class Editions {
  readonly #options: Pick<ApiOptions, "authority" | "revocations">;
  readonly #known = new WeakMap<Revoked, Promise<Edition>>();

  constructor(options: Pick<ApiOptions, "authority" | "revocations">) {
    this.#options = options;
  }

  async now(): Promise<Edition> {
    const revoked = await this.#options.authority.revoked();
    let edition = this.#known.get(revoked);
    if (!edition) {
      edition = this.#make(revoked);
      this.#known.set(revoked, edition);
      edition.catch(() => this.#known.delete(revoked));
    }
    return await edition;
  }

  async #make(revoked: Revoked): Promise<Edition> {
    const krl = writeKrl(revoked.krl);
    const records = (await this.#options.revocations()).map(({ revocation }) => revocation);
    const rest = encodeText(JSON.stringify([[...revoked.x509Serials].sort(), records]));
    const [tag, revocations] = await Promise.all([tagOf(krl), tagOf(concat(krl, rest))]);
    return { krl, tag, revocations: revocations.slice(1, -1) };
  }
}

/** A strong entity tag. */
export async function tagOf(bytes: Bytes): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `"${encodeHex(digest.subarray(0, 16))}"`;
}
