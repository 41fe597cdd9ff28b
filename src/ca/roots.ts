/**
 * The authority's roots: where they come from, and how one follows another.
 *
 * The state folder's own are listed in `ca_roots.json`: for each kind the files, oldest first, with the times at which each
 * begins to sign and ceases to be trusted. A file is written before the list names it, so whenever the process dies the
 * list is whole. Once there is a list, a file that it names and that is gone is an error: a new root in its place would
 * shut out everybody who trusts the old one.
 */
import { decodeText, EMPTY, encodeText } from "../bytes/bytes.ts";
import { generatePrivateKey, parsePrivateKey } from "../keys/private_key.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import type { PublicKey, Signer } from "../keys/types.ts";
import { formatCertificate, keyFingerprint } from "../x509/certificate.ts";
import type { AuthorityParts, RootAlgorithm, RootKind } from "./local.ts";
import { rootKinds } from "./local.ts";
import { nextChange, type RingEntry, rotated, signing, trusted } from "./ring.ts";
import { readSshRoots, readX509Roots } from "./root_files.ts";
import { rootListSchema } from "./root_list.ts";
import { type Authorities, CaError } from "./types.ts";
import { loadX509Root, makeX509Root, type X509Root } from "./x509.ts";

/** The list of the state folder's roots. */
const LIST = "ca_roots.json";
/** Ten years: an X.509 root is replaced by rotation, not by running out. */
const X509_ROOT_LIFETIME = 3650 * 24 * 3_600_000;
/** Clocks that are behind take a new root too. */
const BACKDATED = 3_600_000;

/** A root of the state folder. */
interface KeptRoot extends RingEntry {
  /** Its file in the state folder. */
  readonly file: string;
}

export type RootList = { readonly [K in RootKind]: readonly KeptRoot[] };

/** Roots of all kinds at one moment, loaded. */
export interface LoadedRoots {
  readonly user: Signer;
  readonly host: Signer;
  readonly x509: X509Root;
  readonly authorities: Authorities;
}

interface Loaded<T> extends RingEntry {
  readonly root: T;
}
/** SSH roots without a signer, and X.509 roots without a key, are trusted alone. */
interface SshRoot {
  readonly publicKey: PublicKey;
  readonly signer?: Signer;
}
interface PemRoot {
  readonly pem: string;
  readonly fingerprint: string;
  readonly signs?: X509Root;
}
interface Rings {
  readonly user: readonly Loaded<SshRoot>[];
  readonly host: readonly Loaded<SshRoot>[];
  readonly x509: readonly Loaded<PemRoot>[];
}

/** A new root, for the record. */
export type OnRoot = (kind: RootKind, fingerprint: string, signsFrom: number, why: string) => void;

type Parts = Pick<AuthorityParts, "state" | "files" | "clock" | "config">;

/** Loads the configured roots and the state folder's, making those that are missing. @throws {CaError} `unavailable` */
export async function openRoots(parts: Parts, onRoot: OnRoot): Promise<Roots> {
  const roots = new Roots(parts, onRoot);
  await roots.open();
  return roots;
}

export class Roots {
  readonly #parts: Parts;
  readonly #onRoot: OnRoot;
  #list: RootList = { user: [], host: [], x509: [] };
  #rings: Rings = { user: [], host: [], x509: [] };
  #paths: readonly string[] = [];
  /** Ends when the last change that was asked for is done: two at once would make one file twice. */
  #changes: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts, onRoot: OnRoot) {
    this.#parts = parts;
    this.#onRoot = onRoot;
  }

  /** Files that the configured roots were read from, at the last reload that succeeded. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /** What signs and what is trusted at `now`. */
  at(now: number): LoadedRoots {
    const { user, host, x509 } = this.#rings;
    const keys = (ring: Rings["user"]) => trusted(ring, now).map(({ root }) => root.publicKey);
    return {
      user: signing(user, now).root.signer!,
      host: signing(host, now).root.signer!,
      x509: signing(x509, now).root.signs!,
      authorities: {
        user: keys(user),
        host: keys(host),
        x509: trusted(x509, now).map(({ root }) => root.pem),
      },
    };
  }

  /** When {@link at} next answers something else by itself. */
  nextChange(now: number): number | undefined {
    const times = rootKinds.map((kind) => nextChange(this.#rings[kind], now)).filter((time) =>
      time !== undefined
    );
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  async open(): Promise<void> {
    this.#list = await this.#readList();
    await this.#dropRetired();
    for (const kind of rootKinds) {
      if (!this.#isConfigured(kind) && this.#list[kind].length === 0) await this.#makeFirst(kind);
    }
    await this.reload();
  }

  /** Loads everything anew. @returns whether the configured roots are others than before @throws {CaError} */
  reload(): Promise<boolean> {
    return this.#inTurn(() => this.#reload());
  }

  /** See `LocalAuthority.rotate`. When it throws, nothing has changed. */
  async rotate(kind: RootKind, overlap: number, lifetime: number): Promise<void> {
    if (this.#isConfigured(kind)) {
      throw new CaError(
        "invalid",
        `the root for ${kind} certificates comes from configured files: change these`,
      );
    }
    await this.#inTurn(() => this.#rotate(kind, overlap, lifetime));
  }

  async #rotate(kind: RootKind, overlap: number, lifetime: number): Promise<void> {
    await this.#dropRetired();
    const now = this.#parts.clock.now();
    const file = this.#nextFile(kind);
    const record = await this.#make(kind, file, now + overlap, "rotated");
    const list = {
      ...this.#list,
      [kind]: rotated(this.#list[kind], { file }, { now, overlap, lifetime }),
    };
    // Before the list is written: what cannot be loaded now cannot be loaded at the next start. Roots of other kinds are
    // left alone: whether their files can be read just now is no matter of this one.
    const ring = kind === "x509" ? await this.#loadX509(list) : await this.#loadSsh(kind, list);
    await this.#writeList(list);
    this.#rings = { ...this.#rings, [kind]: ring };
    record();
  }

  async #reload(): Promise<boolean> {
    const before = await fingerprints(this.#rings);
    const paths: string[] = [];
    const rings: Rings = {
      user: await this.#loadSsh("user", this.#list, paths),
      host: await this.#loadSsh("host", this.#list, paths),
      x509: await this.#loadX509(this.#list, paths),
    };
    this.#rings = rings;
    this.#paths = paths;
    const after = await fingerprints(rings);
    const isFirst = before.every(([, prints]) => prints.length === 0);
    for (const [index, [kind, prints]] of after.entries()) {
      if (isFirst || !this.#isConfigured(kind)) continue;
      for (const print of prints.filter((one) => !before[index][1].includes(one))) {
        this.#onRoot(kind, print, this.#parts.clock.now(), "configured file changed");
      }
    }
    return JSON.stringify(before) !== JSON.stringify(after);
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }

  #isConfigured(kind: RootKind): boolean {
    return (this.#parts.config.rootFiles?.[kind]?.length ?? 0) > 0;
  }

  /** `ca_user_3`: never the name of an earlier one, which verifiers may know. */
  #nextFile(kind: RootKind): string {
    const numbers = this.#list[kind].map(({ file }) => Number(/\d+$/.exec(file)));
    return `ca_${kind}_${Math.max(0, ...numbers) + 1}`;
  }

  async #makeFirst(kind: RootKind): Promise<void> {
    const file = this.#nextFile(kind);
    // A process that died before it wrote the list left its key: nobody knows it yet, but it is as good as another.
    const left = await this.#parts.state.read(file);
    let record = () => {};
    if (!left || left.length === 0) {
      record = await this.#make(kind, file, this.#parts.clock.now(), "made on first start");
    }
    await this.#writeList({ ...this.#list, [kind]: [{ file, signsFrom: 0 }] });
    record();
  }

  /** @returns puts it on record, for when it counts */
  async #make(kind: RootKind, file: string, signsFrom: number, why: string): Promise<() => void> {
    const { state, config, clock } = this.#parts;
    if (kind === "x509") {
      const now = clock.now();
      const { certificate, privateKey } = await makeX509Root({
        commonName: `${config.domain} ssh-mesh root`,
        trustDomain: config.trustDomain,
        notBefore: now - BACKDATED,
        notAfter: now + X509_ROOT_LIFETIME,
      });
      const root = await loadX509Root({ certificate, privateKey });
      await state.write(`${file}.crt`, encodeText(certificate));
      await state.write(file, encodeText(certificate + privateKey));
      const fingerprint = await keyFingerprint(root.chain[0]);
      return () => this.#onRoot(kind, fingerprint, signsFrom, why);
    } else {
      const algorithm: RootAlgorithm = config.algorithm ?? "ssh-ed25519";
      const comment = `${config.domain} ${kind} authority`;
      const key = await generatePrivateKey(algorithm, { comment });
      await state.write(`${file}.pub`, encodeText(`${formatPublicKey(key.publicKey, comment)}\n`));
      await state.write(file, encodeText(key.format()));
      const fingerprint = await key.publicKey.fingerprint();
      return () => this.#onRoot(kind, fingerprint, signsFrom, why);
    }
  }

  async #loadSsh(kind: "user" | "host", list: RootList, paths: string[] = []): Promise<Loaded<SshRoot>[]> {
    const { files, config } = this.#parts;
    if (this.#isConfigured(kind)) {
      const read = await readSshRoots(requireFiles(files), kind, config.rootFiles![kind]!);
      paths.push(...read.paths);
      return read.roots.map(forEver);
    }
    return await this.#loadKept(kind, list, async (text) => {
      const signer = await parsePrivateKey(text);
      return { publicKey: signer.publicKey, signer };
    });
  }

  async #loadX509(list: RootList, paths: string[] = []): Promise<Loaded<PemRoot>[]> {
    const { files, config } = this.#parts;
    if (this.#isConfigured("x509")) {
      const read = await readX509Roots(requireFiles(files), config.rootFiles!.x509!);
      paths.push(...read.paths);
      return await Promise.all(
        read.roots.map(async ({ root, signs }, index) =>
          forEver({ pem: formatCertificate(root), fingerprint: await keyFingerprint(root), signs }, index)
        ),
      );
    }
    return await this.#loadKept("x509", list, async (text) => {
      const signs = await loadX509Root({ certificate: text, privateKey: text });
      const root = signs.chain.at(-1)!;
      return { pem: formatCertificate(root), fingerprint: await keyFingerprint(root), signs };
    });
  }

  async #loadKept<T>(
    kind: RootKind,
    list: RootList,
    parse: (text: string) => Promise<T>,
  ): Promise<Loaded<T>[]> {
    const { state } = this.#parts;
    return await Promise.all(list[kind].map(async ({ file, ...times }) => {
      const content = await state.read(file);
      if (!content || content.length === 0) {
        throw new CaError(
          "unavailable",
          `${state.path}/${file}, a root for ${kind} certificates, is gone: put a copy of it back`,
        );
      }
      try {
        return { ...times, root: await parse(decodeText(content)) };
      } catch (cause) {
        throw new CaError(
          "unavailable",
          `${state.path}/${file} cannot be used: ${(cause as Error).message}`,
          {
            cause,
          },
        );
      }
    }));
  }

  async #readList(): Promise<RootList> {
    const { state } = this.#parts;
    const content = await state.read(LIST);
    if (!content) return this.#list;
    try {
      return rootListSchema.parse(JSON.parse(decodeText(content)));
    } catch (cause) {
      throw new CaError("unavailable", `${state.path}/${LIST} is broken: put a copy of it back`, { cause });
    }
  }

  async #writeList(list: RootList): Promise<void> {
    await this.#parts.state.write(LIST, encodeText(`${JSON.stringify(list, undefined, 2)}\n`));
    this.#list = list;
  }

  /** Forgets roots that nobody trusts any more, and their private keys: at the next start or rotation. */
  async #dropRetired(): Promise<void> {
    const now = this.#parts.clock.now();
    for (const kind of rootKinds) {
      const ring = this.#list[kind];
      if (ring.length === 0) continue;
      const kept = trusted(ring, now);
      const retired = ring.filter((entry) => !kept.includes(entry));
      if (retired.length === 0) continue;
      await this.#writeList({ ...this.#list, [kind]: ring.filter((entry) => kept.includes(entry)) });
      for (const { file } of retired) await this.#parts.state.write(file, EMPTY);
    }
  }
}

/** Configured roots: the first signs and all are trusted for as long as they are configured. */
function forEver<T>(root: T, index: number): Loaded<T> {
  return { root, signsFrom: index === 0 ? 0 : Infinity };
}

function requireFiles<T>(files: T | undefined): T {
  if (files) return files;
  throw new TypeError("configured root files need something that reads them");
}

async function fingerprints({ user, host, x509 }: Rings): Promise<[RootKind, string[]][]> {
  const ssh = (ring: Rings["user"]) => Promise.all(ring.map(({ root }) => root.publicKey.fingerprint()));
  return [["user", await ssh(user)], ["host", await ssh(host)], [
    "x509",
    x509.map(({ root }) => root.fingerprint),
  ]];
}
