/**
 * `sshm askpass`: answers the gateway's question for a token when `ssh` asks it, and no other question.
 *
 * A token longer than an answer can be is given in pieces, and each piece is asked for by a prompt of its own, which is
 * a process of its own. What is still to be given waits in a file between them (0600, in a folder 0700 that goes when
 * the user logs out where the system has such a one). It is not the token that waits but the rest of it: its beginning
 * has been given already, so what lies there is no credential. Keeping a position instead would not do: a file is
 * rotated and a command prints another token each time, and two halves of two tokens are none. The file belongs to one
 * `ssh` (its process number and start) and one question's addressee, is replaced when a token is begun anew, counts for
 * a minute, and goes with the last piece.
 */
import type { Command } from "commander";
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { printable } from "../bytes/printable.ts";
import { FilesError } from "../platform/files.ts";
import { ifThere, readWholeFile } from "../platform/whole_file.ts";
import { type GatewayPrompt, pieces, readPrompt } from "./askpass.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { print, printJson } from "./output.ts";
import { passingFolder } from "./own_folder.ts";
import { findToken } from "./token.ts";

/** Names by which `ssh` may call the gateway beside the one in `--gateway`: HostKeyAlias. */
const HOSTS_VARIABLE = "SSHM_ASKPASS_HOSTS";

/** How long a rest waits for its question, in milliseconds: ssh asks at once. */
const PATIENCE = 60_000;

/** What files of this begin with. */
const PREFIX = "askpass-";

export function addAskpassCommand(program: Command, cli: Cli): void {
  const command = program.command("askpass")
    .description("answers the gateway's question for a token when ssh asks it, and no other question")
    .argument("<PROMPT>", "what ssh shows")
    .addHelpText(
      "after",
      `\nWho asks must be the gateway by the name in --gateway, or one of those in ${HOSTS_VARIABLE} (between\n` +
        "spaces): ssh says its HostKeyAlias where there is one.",
    );
  addExamples(
    run(cli, command, async (flags, [prompt]) => {
      const answer = await answerPrompt(cli.host, flags, prompt);
      if (flags.json) await printJson(cli.host, { answer });
      else await print(cli.host, answer);
    }),
    [
      [
        "export SSHM_GATEWAY=gw.mycorp.com:15022 SSHM_TOKEN_FILE=~/token SSH_ASKPASS=$(command -v sshm) SSH_ASKPASS_REQUIRE=force",
        "ssh then runs 'sshm PROMPT', which is the same as 'sshm askpass PROMPT'",
      ],
      ["ssh -p 15022 gw.mycorp.com whoami", "logs in with the token; no key, no question"],
    ],
  );
}

/** Whether the program was run by ssh as its askpass program: its only argument is a text, and no command is. */
export function isPrompt(args: readonly string[]): boolean {
  return args.length === 1 && /\s/.test(args[0]);
}

async function answerPrompt(host: SshmHost, flags: GlobalFlags, text: string): Promise<string> {
  const prompt = readPrompt(text);
  if (!prompt) {
    throw new SshmError(
      "failed",
      `askpass answers the gateway's question for a token and nothing else; this is none: '${
        printable(text, 200)
      }'`,
    );
  }
  requireGatewayHost(host, flags, prompt.host);
  const file = await restFile(host, prompt);
  return prompt.question === "next" ? await nextPiece(host, file) : await begin(host, flags, prompt, file);
}

/** The words could be anybody's: a node's server may use them too. */
function requireGatewayHost(host: SshmHost, { gateway }: GlobalFlags, asking: string): void {
  if (!gateway) throw new SshmError("failed", "askpass answers one gateway alone: say which in SSHM_GATEWAY");
  const others = host.environment(HOSTS_VARIABLE)?.toLowerCase().split(/[\s,]+/) ?? [];
  if ([gateway.hostname, ...others].includes(asking)) return;
  throw new SshmError(
    "failed",
    `'${printable(asking)}' asks for a token and is not the gateway ${gateway.hostname}: it gets none`,
  );
}

async function begin(
  host: SshmHost,
  flags: GlobalFlags,
  { question }: GatewayPrompt,
  file: string,
): Promise<string> {
  const token = await findToken(host, flags);
  if (!token) {
    throw new SshmError("failed", "there is no token: name one in SSHM_TOKEN_FILE or SSHM_TOKEN_COMMAND");
  }
  const [first, ...more] = pieces(token.text);
  if (more.length > 0 && question === "whole") {
    throw new SshmError("failed", "the token is longer than ssh passes on, and is asked for in one piece");
  }
  await forgetOld(host);
  if (more.length > 0) await keep(host, file, more);
  return first;
}

async function nextPiece(host: SshmHost, file: string): Promise<string> {
  const found = await ifThere(readWholeFile(host.files, file));
  const rest = found && readRest(decodeText(found.bytes));
  if (!rest || Math.abs(host.clock.now() - rest.at) > PATIENCE) {
    throw new SshmError(
      "failed",
      "a further part of a token is asked for, and none was begun here (a wrapper around sshm must exec it)",
    );
  }
  const [next, ...more] = rest.pieces;
  if (more.length > 0) await keep(host, file, more);
  else await host.ownFiles.remove(file);
  return next;
}

interface Rest {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly pieces: readonly string[];
}

function readRest(text: string): Rest | undefined {
  try {
    const { at, pieces }: Rest = JSON.parse(text);
    return Number.isFinite(at) && Array.isArray(pieces) && pieces.length > 0 ? { at, pieces } : undefined;
  } catch {
    return undefined;
  }
}

async function keep(host: SshmHost, file: string, pieces: readonly string[]): Promise<void> {
  const rest: Rest = { at: host.clock.now(), pieces };
  try {
    await host.ownFiles.makePrivateFolder(passingFolder(host));
    await host.ownFiles.replace(file, encodeText(JSON.stringify(rest)), 0o600);
  } catch (cause) {
    if (!(cause instanceof FilesError)) throw cause;
    throw new SshmError("failed", `the rest of the token cannot be kept: ${cause.message}`, { cause });
  }
}

/** One for each ssh and addressee. */
async function restFile(host: SshmHost, { user, host: addressee }: GatewayPrompt): Promise<string> {
  const { pid, started } = await host.parent();
  const digest = await crypto.subtle.digest("SHA-256", encodeText(`${pid} ${started} ${user}@${addressee}`));
  return `${passingFolder(host)}/${PREFIX}${encodeHex(new Uint8Array(digest).subarray(0, 16))}`;
}

/** Removes what an ssh that was killed between two pieces has left. */
async function forgetOld(host: SshmHost): Promise<void> {
  const { files, ownFiles, clock } = host;
  const folder = passingFolder(host);
  const listing = await ifThere(files.list(folder));
  if (!listing) return;
  try {
    for (let names = await listing.next(100); names.length > 0; names = await listing.next(100)) {
      for (const name of names.filter((name) => name.startsWith(PREFIX))) {
        const path = `${folder}/${name}`;
        const stat = await ifThere(files.stat(path));
        if (stat && clock.now() - stat.modified * 1000 > PATIENCE) await ifThere(ownFiles.remove(path));
      }
    }
  } finally {
    await listing.close();
  }
}
