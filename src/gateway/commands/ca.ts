/** `ca` and `krl`: whose certificates count here, and which do not. For the configuration of stock programs. */
import { writeKrl } from "../../cert/krl.ts";
import { formatPublicKey } from "../../keys/public_key.ts";
import { readArguments } from "./arguments.ts";
import { type Command, CommandError, EXIT, jsonOutput, requireAuthority } from "./command.ts";

const CA_USAGE = "ca user|host|x509, or ca --json";

export const ca: Command = {
  usage: "ca user|host|x509",
  summary: "public keys of the authorities of users and hosts, or X.509 roots (ca --json: all of them)",
  async run(context, args) {
    const { flags, words: [kind] } = readArguments(args, { flags: ["--json"], words: 1 }, CA_USAGE);
    const { user, host, x509 } = await requireAuthority(context).authorities();
    const lines = {
      user: user.map((key) => formatPublicKey(key)),
      host: host.map((key) => formatPublicKey(key)),
    };
    if (flags.has("--json") && kind === undefined) return jsonOutput({ ...lines, x509 });
    if (flags.has("--json") || kind === undefined) throw new CommandError(EXIT.usage, `write ${CA_USAGE}`);
    if (kind === "user" || kind === "host") return { out: lines[kind] };
    if (kind === "x509") return { out: x509.flatMap((pem) => pem.trim().split(/\r?\n/)) };
    throw new CommandError(EXIT.usage, `there is no such authority; write ${CA_USAGE}`);
  },
};

export const krl: Command = {
  usage: "krl",
  summary: "the list of what is revoked, as RevokedKeys of sshd takes it",
  async run(context, args) {
    readArguments(args, {}, "krl > revoked_keys");
    const { krl } = await requireAuthority(context).revoked();
    return { bytes: writeKrl(krl) };
  },
};
