/** The user's token: from a file, from a command, or stored. */
import { decodeText } from "../bytes/bytes.ts";
import { expandHome, openness, openTextIfThere, requireText } from "../agent/text_file.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { ownFolder } from "./own_folder.ts";
import { readAll } from "./read_all.ts";

/** Longest token, in characters: several times what any issuer writes, below what a packet holds. */
const MAX_TOKEN = 32 * 1024;

/** Largest output of a token command, in bytes. */
const MAX_OUTPUT = 64 * 1024;

/** In the user's own folder. */
const STORED = "token";

export interface Token {
  readonly text: string;
  /** The user has said for this run, by flag or variable, where it comes from. */
  readonly named: boolean;
}

/**
 * Finds the token; it is read anew each time, for whoever wrote it writes the next one in its place.
 * @returns undefined where none is named and none is stored
 * @throws {SshmError} `files` when there should be one and is not
 */
export async function findToken(host: SshmHost, flags: GlobalFlags): Promise<Token | undefined> {
  const { tokenFile, tokenCommand } = flags;
  if (tokenFile !== undefined && tokenCommand !== undefined) {
    throw new SshmError("usage", "the token comes from a file or from a command, not from both");
  }
  if (tokenFile !== undefined) {
    const path = expandHome(tokenFile, host.environment("HOME") ?? "/");
    // Kubernetes lets everybody in the pod read it: whether others may is not ours to say.
    const { text } = await requireText(host.files, path, "the token");
    return { text: requireToken(text, path), named: true };
  }
  if (tokenCommand !== undefined) {
    return {
      text: requireToken(await runTokenCommand(host, tokenCommand), "the token command"),
      named: true,
    };
  }
  const stored = await openTextIfThere(host.files, `${ownFolder(host)}/${STORED}`);
  if (!stored) return undefined;
  const open = openness(stored);
  if (open) throw new SshmError("files", open);
  return { text: requireToken(stored.text, stored.path), named: false };
}

/** @param source for the sentence: the text itself is never quoted */
function requireToken(text: string, source: string): string {
  const token = text.trim();
  // A trailing + would read as a part with more to come.
  if (/^[\w.~+/=-]*[\w.~/=-]$/.test(token) && token.length <= MAX_TOKEN) return token;
  const what = token === "" ? "nothing" : "something that is no token";
  throw new SshmError("files", `${source}: there is ${what}`);
}

async function runTokenCommand({ processes, variables }: SshmHost, line: string): Promise<string> {
  const child = await processes.spawn({ file: "/bin/sh", args: ["-c", line], env: variables() });
  await child.stdin.close();
  const [out, said, status] = await Promise.all([
    readAll(child.stdout, MAX_OUTPUT, "the token command's output"),
    readAll(child.stderr, MAX_OUTPUT, "the token command's complaint"),
    child.status,
  ]);
  if ("code" in status && status.code === 0) return decodeText(out);
  const how = "code" in status ? `exit ${status.code}` : `signal ${status.signal}`;
  const why = decodeText(said).trim().split("\n").at(-1);
  throw new SshmError("files", `the token command failed (${how})${why ? `: ${why}` : ""}`);
}
