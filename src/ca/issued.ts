/**
 * The books: every certificate is on record before it leaves, by a serial number that no other has.
 *
 * | collection | key | holds |
 * |---|---|---|
 * | `issued` | `ssh:SERIAL`, `x509:SERIAL` | {@link IssuedRecord} |
 * | `issued-to` | `HOLDER:ssh:SERIAL`, HOLDER a hash of issuer and subject, the key's fingerprint, or `x509-SERIAL` of the certificate that begat it | when it expires |
 *
 * The second is an index: what was issued to an identity, or for a key, is found without looking at everything. What ran
 * out long ago is forgotten; see `retention.ts`.
 */
import { encodeText, randomBytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { identityKey, type IdentityRef } from "../identity/principal.ts";
import { type Collection, type Store, type Stored, StoreError } from "../store/types.ts";
import type { IssuedRecord, ParentCertificate } from "./local.ts";
import { CaError } from "./types.ts";

/** Tries for a serial number that is free. Two in a row that are taken mean that the generator is broken. */
const TRIES = 3;
const PAGE = 1000;

/** A positive number of 63 random bits: OpenSSH reads 64, and many programs take them for signed. */
export function randomSerial(): bigint {
  const bits = new DataView(randomBytes(8).buffer).getBigUint64(0) >> 1n;
  return bits || 1n;
}

/** Who is certified, as the store's keys have it. */
export interface Bearer {
  /** {@link identityHash}. */
  readonly identity: string;
  /** Of the key: `SHA256:…`. */
  readonly fingerprint: string;
  readonly parent?: ParentCertificate;
}

export class Issued {
  readonly #issued: Collection<IssuedRecord>;
  readonly #index: Collection<number>;

  constructor(store: Store) {
    this.#issued = store.collection("issued");
    this.#index = store.collection("issued-to");
  }

  /**
   * Puts a certificate on record under a serial number of its own.
   * @param draw gives a new serial number @param describe the record for it
   * @returns the record as it was kept
   * @throws {CaError} `unavailable`
   */
  async keep<S extends string | bigint>(
    family: "ssh" | "x509",
    bearer: Bearer,
    draw: () => S,
    describe: (serial: S) => IssuedRecord,
  ): Promise<{ serial: S; record: IssuedRecord }> {
    for (let tries = 0; tries < TRIES; tries++) {
      const serial = draw();
      const record = describe(serial);
      const name = `${family}:${record.serial}`;
      const [kept] = await available(Promise.all([
        this.#issued.insert(name, record),
        ...[...holders(bearer)].map((holder) => this.#index.insert(`${holder}:${name}`, record.expiresAt)),
      ]));
      if (kept) return { serial, record };
    }
    throw new CaError("unavailable", "no free serial number was found");
  }

  /** An X.509 certificate's record. @param serial hexadecimal, lower-case */
  async x509(serial: string): Promise<IssuedRecord | undefined> {
    return (await available(this.#issued.get(`x509:${serial}`)))?.value;
  }

  /** What was issued to an identity and has not run out at `now`. */
  async to(identity: IdentityRef, now: number): Promise<IssuedRecord[]> {
    const names = await this.#find(await identityHash(identity), now);
    const records = await available(Promise.all(names.map((name) => this.#issued.get(name))));
    return records.flatMap((stored) => stored?.value ?? []);
  }

  /** Names (`ssh:…`, `x509:…`) of everything on record that was issued to an identity. */
  async namesTo(identity: IdentityRef): Promise<string[]> {
    return await this.#find(await identityHash(identity));
  }

  /** Names of everything on record that was issued for a key. @param fingerprint `SHA256:…` */
  async namesFor(fingerprint: string): Promise<string[]> {
    return await this.#find(fingerprint);
  }

  /** Records in order of their names, those behind `after`; fewer than `limit` are the last. */
  async page(after: string | undefined, limit: number): Promise<Stored<IssuedRecord>[]> {
    return await available(this.#issued.list({ after, limit }));
  }

  /** Takes records off the books. A few at a time: it is one transaction. */
  async forget(records: readonly Stored<IssuedRecord>[]): Promise<void> {
    const entries = await Promise.all(
      records.map(async ({ key: name, value }) =>
        [...holders({ ...value, identity: await identityHash(value) })].map((holder) => `${holder}:${name}`)
      ),
    );
    await available(Promise.all([
      ...entries.flat().map((key) => this.#index.remove({ key })),
      // Last: as long as it is there, its entries in the index are found.
      ...records.map((record) => this.#issued.remove(record)),
    ]));
  }

  /** Names of everything that was ever got with an X.509 certificate. @param serial hexadecimal, lower-case */
  async namesUnder(serial: string): Promise<string[]> {
    return await this.#find(`x509-${serial}`);
  }

  async #find(holder: string, validAt = -Infinity): Promise<string[]> {
    const prefix = `${holder}:`;
    const names: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await available(this.#index.list({ prefix, after, limit: PAGE }));
      names.push(...page.filter(({ value }) => value > validAt).map(({ key }) => key.slice(prefix.length)));
      if (page.length < PAGE) return names;
      after = page.at(-1)!.key;
    }
  }
}

/** Under what a certificate is found again. */
function holders({ identity, fingerprint, parent }: Bearer): Set<string> {
  const above = parent ? [parent.identity, parent.fingerprint, `x509-${parent.serial}`] : [];
  return new Set([identity, fingerprint, ...above]);
}

/** What stands for an identity in keys of the store: of fixed length and without a colon, whatever it is called. */
export async function identityHash(identity: IdentityRef): Promise<string> {
  const text = encodeText(identityKey(identity));
  return encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", text), 0, 16));
}

/** What `stored` resolves to. @throws {CaError} `unavailable` when the store fails: no certificate without a record */
export async function available<T>(stored: Promise<T>): Promise<T> {
  try {
    return await stored;
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new CaError("unavailable", "the authority cannot keep its records", { cause });
  }
}
