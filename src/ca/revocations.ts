/**
 * What counts no more: kept in the collection `revocations`, one document for each.
 *
 * | key | revokes |
 * |---|---|
 * | `serial:N` | an SSH certificate of ours |
 * | `x509-serial:HEX` | an X.509 certificate of ours, and every SSH certificate that was got with it |
 * | `key-id:TEXT` | every SSH certificate with that key id |
 * | `key:SHA256:…` | a key, and every certificate for it |
 * | `identity:HASH` | somebody, every certificate that was issued to him, and what was got with these |
 *
 * The list for sshd knows nothing of identities: what was issued to one, or for a key by X.509, is looked up in the books
 * and listed by its serial number. With its record in the books a serial number leaves the list, long after the end of the
 * certificate; one that is in no book of ours stays for ever, and so do the other three. The collection `krl` counts in
 * `left` what has gone, so that the list's edition never counts down.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { decodeBase64, encodeHex } from "../bytes/encoding.ts";
import { printable } from "../bytes/printable.ts";
import type { Krl, SerialRange } from "../cert/krl.ts";
import { identityKey } from "../identity/principal.ts";
import { decodePublicKey, formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import type { Collection, Store, Stored } from "../store/types.ts";
import { X509Error } from "../x509/error.ts";
import { normalizeX509Serial } from "../x509/serial.ts";
import { available, type Bearer, identityHash, type Issued } from "./issued.ts";
import { CaError, type Revocation, type RevocationRecord, type Revoked } from "./types.ts";

const MAX_SERIAL = 0xffff_ffff_ffff_ffffn;
/** Characters of a key id, an issuer or a subject. */
const MAX_TEXT = 1024;
/** Characters of a reason. */
const MAX_REASON = 1000;
const PAGE = 1000;
/** The one key in the collection `krl`. */
const LEFT = "left";

/** As the store keeps it: plain JSON. */
type KeptRevocation = { readonly [K in keyof RevocationRecord]: RevocationRecord[K] };

export class Revocations {
  readonly #collection: Collection<KeptRevocation>;
  readonly #left: Collection<number>;
  readonly #issued: Issued;
  /** Names of certificates by the key of the revocation that they fell with: nothing is issued for it any more. */
  readonly #fallen = new Map<string, readonly string[]>();
  /** Names of certificates that are listed by their serial numbers. */
  #listed: ReadonlySet<string> = new Set();
  #built?: Promise<Revoked>;
  #authorities: readonly PublicKey[] = [];

  constructor(store: Store, issued: Issued) {
    this.#collection = store.collection("revocations");
    this.#left = store.collection("krl");
    this.#issued = issued;
  }

  /** Serial numbers count for these alone: everybody's count from one. Changes the list. */
  set authorities(keys: readonly PublicKey[]) {
    this.#authorities = keys;
    this.#built = undefined;
  }

  /** Calls `listener` when something has been revoked, here or by another process. @returns stops it */
  watch(listener: () => void): () => void {
    return this.#collection.watch(() => {
      this.#built = undefined;
      listener();
    });
  }

  /** In order of time. */
  async list(): Promise<RevocationRecord[]> {
    return (await this.#all()).map(({ value }) => value).sort((a, b) => a.at - b.at);
  }

  /** @returns whether it is new @throws {CaError} `unavailable` */
  async add(record: RevocationRecord): Promise<boolean> {
    const added = await available(
      this.#collection.insert(await keyOf(record.revocation), { ...record }),
    );
    this.#built = undefined;
    return added !== undefined;
  }

  /**
   * Why somebody may have no certificate, as a sentence; undefined when he may. Asks the store: what another process has
   * revoked counts at once.
   */
  async faultOf({ identity, fingerprint, parent }: Bearer): Promise<string | undefined> {
    const causes: [key: string, fault: string][] = [
      [`identity:${identity}`, "the identity has been revoked"],
      [`key:${fingerprint}`, "the key has been revoked"],
    ];
    if (parent) {
      causes.push(
        [`identity:${parent.identity}`, "the identity that got the X.509 certificate has been revoked"],
        [`key:${parent.fingerprint}`, "the key of the X.509 certificate has been revoked"],
        [`x509-serial:${parent.serial}`, "the X.509 certificate has been revoked"],
      );
    }
    const found = await available(Promise.all(causes.map(([key]) => this.#collection.get(key))));
    return causes.find((_, index) => found[index])?.[1];
  }

  /** What is revoked now. @throws {CaError} `unavailable` */
  current(): Promise<Revoked> {
    const built = this.#built ??= this.#build();
    built.catch(() => {
      if (this.#built === built) this.#built = undefined;
    });
    return built;
  }

  /**
   * Takes certificates off the list that ended long ago; their records go next.
   * @param names `ssh:SERIAL`, `x509:SERIAL` @throws {CaError} `unavailable`
   */
  async forget(names: readonly string[]): Promise<void> {
    await this.current();
    const listed = names.filter((name) => this.#listed.has(name));
    if (listed.length === 0) return;
    // First, and one more than documents can go: a list that is shorter is a later edition all the same.
    await this.#countLeft(listed.length + 1);
    const keys = listed.map((name) => name.replace(/^ssh:/, "serial:").replace(/^x509:/, "x509-serial:"));
    await available(Promise.all(keys.map((key) => this.#collection.remove({ key }))));
    for (const key of keys) this.#fallen.delete(key);
    const gone = new Set(listed);
    for (const [key, fallen] of this.#fallen) {
      if (fallen.some((name) => gone.has(name))) {
        this.#fallen.set(key, fallen.filter((name) => !gone.has(name)));
      }
    }
    this.#built = undefined;
  }

  async #countLeft(more: number): Promise<void> {
    for (;;) {
      const read = await available(this.#left.get(LEFT));
      const counted = read ? this.#left.replace(read, read.value + more) : this.#left.insert(LEFT, more);
      if (await available(counted)) return;
    }
  }

  async #all(): Promise<Stored<KeptRevocation>[]> {
    const all: Stored<KeptRevocation>[] = [];
    for (;;) {
      const page = await available(this.#collection.list({ after: all.at(-1)?.key, limit: PAGE }));
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }

  async #build(): Promise<Revoked> {
    const all = await this.#all();
    const left = (await available(this.#left.get(LEFT)))?.value ?? 0;
    const listed = new Set<string>();
    const identities = new Set<string>();
    const keyIds: string[] = [];
    const keys: Bytes[] = [];
    const sha256: Bytes[] = [];
    for (const { key: name, value: { revocation } } of all) {
      if (revocation.kind === "serial") listed.add(`ssh:${revocation.serial}`);
      else if (revocation.kind === "x509-serial") listed.add(`x509:${revocation.serial}`);
      else if (revocation.kind === "key-id") keyIds.push(revocation.keyId);
      else if (revocation.kind === "identity") identities.add(identityKey(revocation));
      else if (revocation.key.startsWith(FINGERPRINT)) sha256.push(digestOf(revocation.key));
      else keys.push(parsePublicKeyLine(revocation.key).key.blob);
      for (const fallen of await this.#fallenWith(name, revocation)) listed.add(fallen);
    }
    this.#listed = listed;
    const serials = (family: string) =>
      [...listed].filter((name) => name.startsWith(family)).map((name) => name.slice(family.length));
    const latest = Math.max(0, ...all.map(({ value }) => value.at));
    return {
      krl: krl(
        all.length + left,
        latest,
        this.#authorities,
        serials("ssh:").map(BigInt),
        keyIds,
        keys,
        sha256,
      ),
      x509Serials: new Set(serials("x509:")),
      isIdentityRevoked: (identity) => identities.has(identityKey(identity)),
    };
  }

  async #fallenWith(name: string, revocation: Revocation): Promise<readonly string[]> {
    const known = this.#fallen.get(name);
    if (known) return known;
    const names = await this.#namesUnder(revocation);
    this.#fallen.set(name, names);
    return names;
  }

  async #namesUnder(revocation: Revocation): Promise<readonly string[]> {
    switch (revocation.kind) {
      case "identity":
        return await this.#issued.namesTo(revocation);
      case "key":
        return await this.#issued.namesFor(await fingerprintOf(revocation.key));
      case "x509-serial":
        return await this.#issued.namesUnder(revocation.serial);
      default:
        return [];
    }
  }
}

const FINGERPRINT = "SHA256:";

/**
 * A revocation as it is kept: serial numbers, keys and fingerprints in one spelling.
 * @throws {CaError} `invalid` for what is none
 */
export function normalizeRevocation(revocation: Revocation): Revocation {
  switch (revocation.kind) {
    case "serial":
      return { kind: "serial", serial: sshSerial(revocation.serial) };
    case "x509-serial":
      return { kind: "x509-serial", serial: x509Serial(revocation.serial) };
    case "key-id":
      return { kind: "key-id", keyId: word(revocation.keyId, "key id") };
    case "key":
      return { kind: "key", key: keyText(revocation.key.trim()) };
    case "identity": {
      const { issuer, subject } = revocation;
      return { kind: "identity", issuer: word(issuer, "issuer"), subject: word(subject, "subject") };
    }
  }
}

/** One printable line. */
export function normalizeReason(reason: string): string {
  return printable(reason.trim(), MAX_REASON);
}

/** The key of the document that keeps it. */
async function keyOf(revocation: Revocation): Promise<string> {
  switch (revocation.kind) {
    case "serial":
    case "x509-serial":
      return `${revocation.kind}:${revocation.serial}`;
    case "key-id":
      return `key-id:${revocation.keyId}`;
    case "key":
      return `key:${await fingerprintOf(revocation.key)}`;
    case "identity":
      return `identity:${await identityHash(revocation)}`;
  }
}

function sshSerial(text: string): string {
  // Zero is what authorities write that do not count: it would name every certificate of theirs, or none.
  if (!/^\d{1,20}$/.test(text) || BigInt(text) === 0n || BigInt(text) > MAX_SERIAL) {
    throw new CaError(
      "invalid",
      "a serial number of an SSH certificate is a decimal number from 1 to 2^64 - 1",
    );
  }
  return BigInt(text).toString();
}

function x509Serial(text: string): string {
  try {
    return normalizeX509Serial(text);
  } catch (cause) {
    if (cause instanceof X509Error) throw new CaError("invalid", cause.message, { cause });
    throw cause;
  }
}

function word(text: string, what: string): string {
  if (text !== "" && text.length <= MAX_TEXT && !text.includes("\0") && text.isWellFormed()) return text;
  throw new CaError("invalid", `a ${what} has 1 to ${MAX_TEXT} characters`);
}

/** A key as `ssh-… AAAA…`, or its fingerprint. Also taken: a certificate's line, a key's blob in base64. */
function keyText(text: string): string {
  if (text.startsWith(FINGERPRINT)) {
    const digest = text.slice(FINGERPRINT.length).replace(/=+$/, "");
    if (/^[A-Za-z0-9+/]{43}$/.test(digest)) return FINGERPRINT + digest;
    throw new CaError("invalid", "a fingerprint is SHA256: and 43 characters of base64");
  }
  try {
    const key = /\s/.test(text) ? parsePublicKeyLine(text).key : decodePublicKey(decodeBase64(text));
    return formatPublicKey(key);
  } catch (cause) {
    if (!(cause instanceof KeyError) && !(cause instanceof TypeError)) throw cause;
    throw new CaError(
      "invalid",
      "this is no key: a line of an id.pub file or a fingerprint SHA256:… is expected",
      {
        cause,
      },
    );
  }
}

function fingerprintOf(key: string): Promise<string> | string {
  return key.startsWith(FINGERPRINT) ? key : parsePublicKeyLine(key).key.fingerprint();
}

function digestOf(fingerprint: string): Bytes {
  return decodeBase64(`${fingerprint.slice(FINGERPRINT.length)}=`);
}

function krl(
  edition: number,
  latest: number,
  authorities: readonly PublicKey[],
  serials: readonly bigint[],
  keyIds: readonly string[],
  keys: readonly Bytes[],
  sha256: readonly Bytes[],
): Krl {
  // sshd looks serials up in a sorted tree and takes them in any order; sorted, equal lists have equal bytes.
  const ranges = serials.toSorted((a, b) => (a < b ? -1 : 1)).map((serial): SerialRange => ({
    first: serial,
    last: serial,
  }));
  const sorted = (blobs: readonly Bytes[]) =>
    blobs.toSorted((a, b) => (encodeHex(a) < encodeHex(b) ? -1 : 1));
  return {
    version: BigInt(edition),
    generated: BigInt(Math.floor(latest / 1000)),
    comment: "ssh-mesh",
    certificates: [
      ...(ranges.length > 0
        ? authorities.map((authority) => ({ authority, serials: ranges, keyIds: [] }))
        : []),
      ...(keyIds.length > 0 ? [{ serials: [], keyIds }] : []),
    ],
    keys: sorted(keys),
    sha256: sorted(sha256),
    sha1: [],
  };
}
