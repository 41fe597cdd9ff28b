/** `revoke` and `revoked`: what counts no more. */
import type { Revocation, RevocationRecord } from "../../ca/types.ts";
import { readArguments } from "./arguments.ts";
import {
  asked,
  type Command,
  CommandError,
  EXIT,
  jsonOutput,
  requireAuthority,
  requireRight,
} from "./command.ts";

const USAGE =
  "revoke serial N | x509-serial HEX | key-id TEXT | key FINGERPRINT | identity ISSUER SUBJECT, " +
  "and --reason TEXT at the end where there is one";

/** By the first word: what the words behind it make. Undefined: not that. */
const kinds: Readonly<Record<string, (words: readonly string[]) => Revocation | undefined>> = {
  "serial": ([serial, ...more]) =>
    more.length === 0 && /^\d{1,20}$/.test(serial ?? "") ? { kind: "serial", serial } : undefined,
  "x509-serial": ([serial, ...more]) =>
    more.length === 0 && /^(?:[0-9a-fA-F]{2}:?)+$/.test(serial ?? "")
      ? { kind: "x509-serial", serial: serial.replaceAll(":", "").toLowerCase() }
      : undefined,
  // Key ids have spaces where people made them.
  "key-id": (words) => words.length > 0 ? { kind: "key-id", keyId: words.join(" ") } : undefined,
  "key": (words) => words.length > 0 ? { kind: "key", key: keyText(words) } : undefined,
  "identity": ([issuer, ...subject]) =>
    subject.length > 0 ? { kind: "identity", issuer, subject: subject.join(" ") } : undefined,
};

/** `SHA256:…`, or the line of a public key, of which the base64 alone says the type too. */
function keyText(words: readonly string[]): string {
  const [first, second] = words;
  if (first.startsWith("SHA256:")) return first;
  const base64 = second ?? first;
  return second === undefined ? `${typeIn(base64)} ${base64}` : `${first} ${base64}`;
}

/** The type that a public key's blob begins with. */
function typeIn(base64: string): string {
  try {
    const blob = atob(base64);
    return blob.slice(4, 4 + blob.charCodeAt(3));
  } catch {
    throw new CommandError(EXIT.data, "that is no public key: write SHA256:… or the line of its .pub file");
  }
}

export const revoke: Command = {
  usage: "revoke KIND VALUE",
  summary: "makes a key, a certificate or an identity count no more (needs the right 'admin')",
  async run(context, args) {
    const { rule } = requireRight(context, "admin");
    const { words: [kind = "", ...words], values } = readArguments(
      args,
      { words: 64, rest: "--reason" },
      USAGE,
    );
    const revocation = Object.hasOwn(kinds, kind) ? kinds[kind](words) : undefined;
    if (!revocation) throw new CommandError(EXIT.usage, `write ${USAGE}`, rule);
    const { identity, description } = context.client;
    const by = { name: identity.name, remote: description };
    await asked(rule, requireAuthority(context).revoke(revocation, by, values.get("--reason")));
    return { rule };
  },
};

export const revoked: Command = {
  usage: "revoked [--json]",
  summary: "what was revoked, when and by whom (needs the right 'admin')",
  async run(context, args) {
    const { rule } = requireRight(context, "admin");
    const { flags } = readArguments(args, { flags: ["--json"] }, "revoked [--json]");
    requireAuthority(context);
    const records = await context.parts.revocations!();
    if (flags.has("--json")) return jsonOutput(records.map(facts), rule);
    const lines = records.map(({ revocation, by, at, reason }) => {
      const { kind, ...value } = revocation;
      const what = `${kind} ${Object.values(value).join(" ")}`;
      return `${what}  by ${by}  ${new Date(at).toISOString()}${reason === undefined ? "" : `  ${reason}`}`;
    });
    return { out: lines, rule };
  },
};

function facts({ revocation, by, at, reason }: RevocationRecord) {
  return { ...revocation, by, at: new Date(at).toISOString(), ...(reason !== undefined && { reason }) };
}
