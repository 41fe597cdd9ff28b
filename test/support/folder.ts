/** Temporary folders that vanish with the test, seen under one path by every peer. */
import { newestTree } from "./peers.ts";

/** A folder of a test's own. `using folder = await temporaryFolder()` removes it. */
export interface Folder extends Disposable {
  readonly path: string;
  /** Path of `name` inside. */
  at(name: string): string;
  /** Writes a file (0600 unless told) and returns its path. */
  write(name: string, content: string | Uint8Array, mode?: number): string;
  read(name: string): string;
}

/** A folder with mode 0700 under the system's temporary folder. */
export function temporaryFolder(): Folder {
  const path = Deno.makeTempDirSync({ prefix: "ssh-mesh-" });
  return folder(path, () => Deno.removeSync(path, { recursive: true }));
}

/**
 * A folder whose path means the same to programs of this system and to those in the newest peers' tree: it lies in
 * the tree's `/tmp`, and the system's `/tmp` has a link of the same name to it. So one set of keys serves all peers
 * and no argument needs translating.
 */
export function sharedFolder(): Folder {
  if (newestTree.missing) return temporaryFolder();
  const real = Deno.makeTempDirSync({ dir: `${newestTree.root}/tmp`, prefix: "ssh-mesh-" });
  const link = `/tmp/${real.slice(real.lastIndexOf("/") + 1)}`;
  Deno.symlinkSync(real, link);
  return folder(link, () => {
    Deno.removeSync(link);
    Deno.removeSync(real, { recursive: true });
  });
}

function folder(path: string, remove: () => void): Folder {
  const at = (name: string) => `${path}/${name}`;
  return {
    path,
    at,
    write(name, content, mode = 0o600) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      Deno.writeFileSync(at(name), bytes, { mode });
      Deno.chmodSync(at(name), mode); // the umask may have narrowed it, an existing file kept its own
      return at(name);
    },
    read: (name) => Deno.readTextFileSync(at(name)),
    [Symbol.dispose]: remove,
  };
}
