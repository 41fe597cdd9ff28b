/** Configuration files of this machine, for sshd_config and its Include lines. */
import type { ConfigSource } from "../agent/sshd_config/parse.ts";
import { attempt } from "./files_error.ts";

export const fileConfigSource: ConfigSource = {
  read: (path) => attempt(() => Deno.readTextFile(path)),
  async glob(pattern) {
    let found = [""];
    for (const segment of pattern.split("/").filter((segment) => segment !== "")) {
      const next: string[] = [];
      for (const folder of found) next.push(...await matching(folder, segment));
      found = next;
    }
    return found.sort();
  },
};

/** Paths in `folder` whose name matches one segment of a pattern (glob(7)). */
async function matching(folder: string, segment: string): Promise<string[]> {
  if (!/[*?[]/.test(segment)) {
    const path = `${folder}/${segment}`;
    return await Deno.lstat(path).then(() => [path], () => []);
  }
  const pattern = toRegExp(segment);
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder || "/")) {
      // A leading dot is matched by a dot only.
      if (pattern.test(name) && (segment.startsWith(".") || !name.startsWith("."))) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
  return names.map((name) => `${folder}/${name}`);
}

function toRegExp(segment: string): RegExp {
  const source = segment.replaceAll(/\[(!?)(\]?[^\]]*)\]|[*?]|[^\w]/g, (token, negated, set) => {
    if (token === "*") return ".*";
    if (token === "?") return ".";
    if (set !== undefined) return `[${negated ? "^" : ""}${set.replaceAll(/[\\\]^]/g, "\\$&")}]`;
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`, "s");
}
