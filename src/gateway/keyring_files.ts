/** Reads the keyring from the files that the configuration names, or from the user's own where it names none. */
import { parseRevokedKeys, type RevocationList } from "../cert/revocation.ts";
import { isUnrestrictedLine, parseAuthorizedKeys } from "../keys/authorized_keys.ts";
import { type Files, FilesError } from "../platform/files.ts";
import { ifThere, readWholeFile } from "../platform/whole_file.ts";
import type { StateFolder } from "../platform/state.ts";
import type { GatewayConfig } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import { keptKey } from "./host_keys.ts";
import { type Keyring, type KnownKey, ownerKeys } from "./keyring.ts";
import { listFolder, readText, readTrustedText } from "./text_file.ts";
import { describe, type Seen } from "./watch.ts";

/** The part of the configuration that says who is known. */
export type KeyringConfig = Pick<
  GatewayConfig,
  "authorizedKeys" | "userCas" | "revokedKeys" | "trustDomain" | "state"
>;

export interface LoadedKeyring {
  readonly keyring: Keyring;
  /** Files and folders that it was read from, or would have been, as they were before: to be watched. */
  readonly seen: Seen;
  /** By file: what is revoked. */
  readonly revocations: ReadonlyMap<string, RevocationList>;
  /** Lines that count for nothing, each as a sentence. */
  readonly warnings: readonly string[];
}

/** In the state folder: the key that is made when there is no owner. */
const OWNER_KEY_NAME = "owner_ed25519";

/** Where the keyring is read from. */
export interface KeyringFiles {
  readonly files: Files;
  readonly config: KeyringConfig;
  /** The user's home folder, when there is one. */
  readonly home: string | undefined;
}

/** Permission bits. */
const WRITABLE_BY_OTHERS = 0o022;
/** Reasons that say nothing of a file: nobody must lose their rights, or keep them, for want of a descriptor. */
const TRANSIENT: ReadonlySet<FilesError["code"]> = new Set(["too-many-open", "failed", "busy"]);

/**
 * Owners are the lines of the configured files. Where none are configured: keys in `~/.ssh/*.pub` whose private key
 * lies beside them, unrestricted lines of `~/.ssh/authorized_keys`, and the key that was once made for want of these.
 * `cert-authority` lines and `--trust-user-ca` let others prove who they are, and make nobody an owner.
 *
 * @param former what was read before: a configured file that is gone then means that all its keys were removed, and a list
 * of revoked keys that cannot be used any more still revokes what it did
 * @throws {StartError} `files` when a configured file is missing, unreadable or not what it should be
 */
export async function loadKeyring(
  { files, config, home }: KeyringFiles,
  former?: Pick<LoadedKeyring, "revocations">,
): Promise<LoadedKeyring> {
  const reading = new Reading(files, former?.revocations);
  if (config.authorizedKeys) {
    for (const path of config.authorizedKeys) await reading.configured(path);
  } else {
    if (home !== undefined) await reading.userFolder(`${home}/.ssh`);
    await reading.optional(`${config.state}/${OWNER_KEY_NAME}.pub`, () => true);
  }
  for (const { file, trustDomain } of config.userCas) await reading.authorities(file, trustDomain);
  const revocations = new Map<string, RevocationList>();
  for (const path of config.revokedKeys) revocations.set(path, await reading.revoked(path));
  const { known, seen, warnings } = reading;
  const keyring = makeKeyring(known, config.trustDomain, [...revocations.values()]);
  return { keyring, seen, revocations, warnings };
}

/** What a gateway begins with. */
export interface Owners {
  readonly loaded: LoadedKeyring;
  /** Path of the key that was once made for want of an owner, where there is no other. */
  readonly madeOwnerKey?: string;
}

/** As {@link loadKeyring}; where that finds no owner and no files are configured, one's key is made. @throws {StartError} */
export async function loadOrMakeOwners(keys: KeyringFiles, state: StateFolder): Promise<Owners> {
  const loaded = await loadKeyring(keys);
  if (keys.config.authorizedKeys) return { loaded };
  const isMade = ({ source }: KnownKey) => source.startsWith(`${state.path}/`);
  const madeOwnerKey = `${state.path}/${OWNER_KEY_NAME}`;
  const owners = ownerKeys(loaded.keyring);
  if (owners.length > 0) return owners.every(isMade) ? { loaded, madeOwnerKey } : { loaded };
  await keptKey(state, OWNER_KEY_NAME, "owner of the ssh-mesh gateway");
  return { loaded: await loadKeyring(keys), madeOwnerKey };
}

/** @param trustDomain the gateway's own: nobody else's e-mail addresses lie under it */
export function makeKeyring(
  known: readonly KnownKey[],
  trustDomain: string,
  revoked: readonly RevocationList[] = [],
): Keyring {
  const others = known.flatMap(({ trustDomain }) => trustDomain === undefined ? [] : [trustDomain]);
  return {
    known,
    trustDomains: [...new Set([trustDomain, ...others])],
    async isRevoked({ key, certificate }) {
      for (const list of revoked) if (await list.isRevoked(certificate ?? key)) return true;
      return false;
    },
  };
}

class Reading {
  readonly known: KnownKey[] = [];
  readonly seen = new Map<string, string>();
  readonly warnings: string[] = [];
  readonly #files: Files;
  /** Undefined at the start, when everything that is configured must be there. */
  readonly #former?: LoadedKeyring["revocations"];

  constructor(files: Files, former?: LoadedKeyring["revocations"]) {
    this.#files = files;
    this.#former = former;
  }

  /** A file of owners: it must be there. */
  async configured(path: string): Promise<void> {
    this.#add(path, await this.#required(path), (known) => !known.authority);
  }

  async userFolder(folder: string): Promise<void> {
    // A key that comes or goes changes the folder.
    await this.#see(folder);
    if (!await this.#isOwnedAlone(folder)) return;
    const names = await listFolder(this.#files, folder);
    const pairs = names.filter((name) =>
      name.endsWith(".pub") && names.includes(name.slice(0, -".pub".length))
    );
    for (const name of pairs) {
      await this.optional(`${folder}/${name}`, () => true);
    }
    await this.optional(`${folder}/authorized_keys`, isUnrestrictedLine);
  }

  /** A file of the user's: what is not there, or cannot be read, makes nobody an owner. */
  async optional(path: string, owns: (entry: KnownKey["entry"]) => boolean): Promise<void> {
    await this.#see(path);
    try {
      if (!await this.#isOwnedAlone(path)) return;
      const text = await ifThere(readText(this.#files, path));
      if (text !== undefined) this.#add(path, text, owns);
    } catch (error) {
      if (!(error instanceof FilesError)) throw error;
      if (TRANSIENT.has(error.code)) {
        throw new StartError("files", `${path} cannot be read: ${error.message}`, { cause: error });
      }
      this.warnings.push(`${path} cannot be read: ${error.message}`);
    }
  }

  /** A file of authorities' public keys, one per line. */
  async authorities(path: string, trustDomain: string | undefined): Promise<void> {
    const { keys, faults } = parseAuthorizedKeys(await this.#required(path));
    if (keys.length === 0 && !this.#former) {
      throw new StartError("files", `${path} holds no public key of an authority`);
    }
    this.#warn(path, faults);
    for (const entry of keys) {
      const source = `${path}:${entry.line}`;
      this.known.push({ entry: { ...entry, authority: true }, owner: false, trustDomain, source });
    }
  }

  async revoked(path: string): Promise<RevocationList> {
    await this.#see(path);
    try {
      return parseRevokedKeys((await readWholeFile(this.#files, path)).bytes);
    } catch (error) {
      const former = this.#former?.get(path);
      const passing = error instanceof FilesError && TRANSIENT.has(error.code);
      if (former && !passing) {
        // Without it, what was revoked would count again; and what is wrong with it must not keep other keys alive.
        this.warnings.push(
          `${path} cannot be used and revokes what it did before: ${(error as Error).message}`,
        );
        return former;
      }
      throw new StartError("files", `${path} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Before it is read: what changes while it is being read is noticed afterwards. */
  async #see(path: string): Promise<void> {
    if (!this.seen.has(path)) this.seen.set(path, await describe(this.#files, path));
  }

  /** As sshd's StrictModes: what others can write to would let them make themselves owners. */
  async #isOwnedAlone(path: string): Promise<boolean> {
    try {
      const { mode } = await this.#files.stat(path);
      if ((mode & WRITABLE_BY_OTHERS) === 0) return true;
      this.warnings.push(`${path} counts for nothing: others can write to it; chmod go-w ${path}`);
    } catch (error) {
      if (!(error instanceof FilesError)) throw error;
      // It is not there, or not for us to see.
    }
    return false;
  }

  async #required(path: string): Promise<string> {
    await this.#see(path);
    try {
      return await readTrustedText(this.#files, path);
    } catch (error) {
      if (this.#former && error instanceof FilesError && error.code === "not-found") {
        this.warnings.push(`${path} is gone: none of its keys counts any more`);
        return "";
      }
      throw new StartError("files", `${path} cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }

  #add(path: string, text: string, owns: (entry: KnownKey["entry"]) => boolean): void {
    const { keys, faults } = parseAuthorizedKeys(text);
    this.#warn(path, faults);
    for (const entry of keys) {
      // The same key twice is one key; the file that says owner counts.
      this.known.push({ entry, owner: !entry.authority && owns(entry), source: `${path}:${entry.line}` });
    }
    this.known.sort((a, b) => Number(b.owner) - Number(a.owner));
  }

  #warn(path: string, faults: readonly { line: number; reason: string }[]): void {
    for (const { line, reason } of faults) {
      this.warnings.push(`${path}:${line} grants nothing: ${reason}`);
    }
  }
}
