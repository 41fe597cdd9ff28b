/** Reads who may log in from the files that the configuration names. */
import { type AuthorizedKey, isUnrestrictedLine, parseAuthorizedKeys } from "../keys/authorized_keys.ts";
import type { PublicKey } from "../keys/types.ts";
import { FilesError, type ReadableFiles } from "../platform/files.ts";
import type { LoginConfig } from "./config.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { openTextIfThere, requireText, type TextFile } from "./text_file.ts";

/** Permission bits that let others write: as sshd's StrictModes, what they could have written lets nobody in. */
const WRITABLE_BY_OTHERS = 0o022;
const WRITABLE_BY_EVERYBODY = 0o002;

export interface LoginFiles {
  readonly keys: readonly AuthorizedKey[];
  /** Of `--trust-user-ca FILE`. */
  readonly authorities: readonly PublicKey[];
}

/**
 * Reads them all; files that can be changed while the agent runs are read again for each login.
 * @param log hears of lines that grant nothing
 * @throws {AgentError} `files`
 */
export async function readLoginFiles(
  config: LoginConfig,
  files: ReadableFiles,
  log: EventLog,
): Promise<LoginFiles> {
  const keys: AuthorizedKey[] = [];
  const add = (text: string, source: string, wanted: (key: AuthorizedKey) => boolean = () => true) => {
    const parsed = parseAuthorizedKeys(text);
    for (const { line, reason } of parsed.faults) {
      log({ event: "warning", message: `${source}:${line}: ${reason}` });
    }
    keys.push(...parsed.keys.filter(wanted));
  };
  add(config.authorizedLines.join("\n"), "SSH_AUTHORIZED_KEYS");
  for (const path of config.authorizedKeys ?? []) {
    add((await requireTrusted(files, path, "authorized keys")).text, path);
  }
  if (config.authorizedKeys === undefined) {
    const isOwnedAlone = ({ path, mode }: { path: string; mode: number }) => {
      if ((mode & WRITABLE_BY_OTHERS) === 0) return true;
      const message = `${path} counts for nothing: others can write to it; chmod go-w ${path}`;
      log({ event: "warning", message });
      return false;
    };
    const folder = `${config.home}/.ssh`;
    const stat = await files.stat(folder).catch(() => undefined);
    const trusted = stat !== undefined && isOwnedAlone({ path: folder, mode: stat.mode });
    const paths = trusted ? [`${folder}/authorized_keys`, ...await ownPublicKeys(files, folder)] : [];
    for (const path of paths) {
      const file = await openTextIfThere(files, path).catch(() => undefined);
      // Lines with restrictions were written for another door: here they would open more, or mean something else.
      if (file && isOwnedAlone(file)) add(file.text, path, isUnrestrictedLine);
    }
  }
  const authorities: PublicKey[] = [];
  for (const path of config.userCas.filter((path) => path !== "gateway")) {
    authorities.push(...await readAuthorities(files, path));
  }
  return { keys, authorities };
}

/** A file that somebody named and that says who gets in. @throws {AgentError} `files` */
async function requireTrusted(files: ReadableFiles, path: string, what: string): Promise<TextFile> {
  const file = await requireText(files, path, what);
  if ((file.mode & WRITABLE_BY_EVERYBODY) === 0) return file;
  throw new AgentError("files", `${what} ${path}: everybody can write to it (chmod o-w ${path})`);
}

/** `~/.ssh/*.pub` whose private halves lie beside them: whoever can read those is the user. */
async function ownPublicKeys(files: ReadableFiles, folder: string): Promise<string[]> {
  const names = new Set<string>();
  try {
    const listing = await files.list(folder);
    try {
      for (let more = await listing.next(256); more.length > 0; more = await listing.next(256)) {
        for (const name of more) names.add(name);
      }
    } finally {
      await listing.close();
    }
  } catch (error) {
    if (!(error instanceof FilesError)) throw error;
  }
  return [...names].filter((name) => name.endsWith(".pub") && names.has(name.slice(0, -".pub".length)))
    .sort().map((name) => `${folder}/${name}`);
}

/** Public keys, one per line, as TrustedUserCAKeys has them. */
async function readAuthorities(files: ReadableFiles, path: string): Promise<PublicKey[]> {
  const { text } = await requireTrusted(files, path, "the user authorities");
  const { keys, faults } = parseAuthorizedKeys(text);
  const [fault] = faults;
  if (fault) throw new AgentError("files", `${path}:${fault.line}: ${fault.reason}`);
  if (keys.length === 0) throw new AgentError("files", `${path} holds no public key`);
  return keys.map(({ key }) => key);
}
