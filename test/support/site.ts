/** A user's side of a test: one folder with keys in every client's format, and known hosts for the server at hand. */
import { type Folder, sharedFolder } from "./folder.ts";
import { type KeyFile, type KeyKind, knownHost, makeKey, toDropbear, toPutty } from "./keygen.ts";
import { dropbear, putty } from "./peers.ts";

export interface Site extends Disposable {
  readonly folder: Folder;
  /** The user's key; `key.line` goes into authorized_keys. */
  readonly key: KeyFile;
  /** The same in the formats of Dropbear and PuTTY, where those are installed. */
  readonly dropbearKey?: string;
  readonly puttyKey?: string;
  /** Known hosts, for `opensshOptions`. */
  readonly knownHosts: string;
  /** Makes the clients expect `key` at 127.0.0.1:`port` (or at `name`). */
  expect(port: number, key: Pick<KeyFile, "bare">, name?: string): void;
}

/** Sets up a user whose paths all peers understand. */
export async function makeSite(kind: KeyKind = "ed25519"): Promise<Site> {
  const folder = sharedFolder();
  try {
    Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
    const knownHosts = folder.write("known_hosts", "");
    const key = await makeKey(folder, "user", kind);
    return {
      folder,
      key,
      dropbearKey: dropbear.missing ? undefined : await toDropbear(key),
      puttyKey: putty.missing ? undefined : await toPutty(key),
      knownHosts,
      expect(port, hostKey, name) {
        Deno.writeTextFileSync(knownHosts, knownHost(port, hostKey, name), { append: true });
        // Dropbear looks in its home folder, knows hosts without their ports, and believes the first line.
        folder.write(".ssh/known_hosts", `127.0.0.1 ${hostKey.bare}\n`);
      },
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    };
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
}
