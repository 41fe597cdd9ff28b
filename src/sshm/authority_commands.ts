/** `sshm ca`, `krl`, `token …`, `revoke`: the gateway's certificate authority and what it takes back. */
import { Argument, type Command } from "commander";
import { decodeText } from "../bytes/bytes.ts";
import { encodeBase64 } from "../bytes/encoding.ts";
import { printable, printableLines } from "../bytes/printable.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { SshmError } from "./exit_codes.ts";
import { type GlobalFlags, readTtl } from "./flags.ts";
import { note, print, printJson } from "./output.ts";
import { askGateway, readJson } from "./remote_commands.ts";

/** What `ca` can be asked for: in words of the gateway's command. */
const AUTHORITIES = ["user", "host", "x509"] as const;

/** What can be revoked, and what its value is. */
const REVOCABLE: Readonly<Record<string, string>> = {
  "serial": "number of an SSH certificate, decimal",
  "x509-serial": "number of an X.509 certificate, hexadecimal",
  "key-id": "key id: every SSH certificate that has it",
  "key": "SHA256:… or the base64 of a public key, however it is used",
  "identity": "ISSUER SUBJECT: all that was or will be issued to it, and its tokens",
};

export function addAuthorityCommands(program: Command, cli: Cli): void {
  addCa(program, cli);
  addKrl(program, cli);
  addTokens(
    program.command("token").description("one-time tokens by which machines join (agent --join)"),
    cli,
  );
  addRevoke(program, cli);
}

function addCa(program: Command, cli: Cli): void {
  const command = program.command("ca").description("public keys of the gateway's certificate authorities")
    .addArgument(
      new Argument(
        "[WHICH]",
        "of user certificates, of host certificates, X.509 roots (default: all, as JSON)",
      )
        .choices(AUTHORITIES),
    );
  addExamples(
    run(cli, command, async (flags, [which]) => {
      if (flags.json || which === undefined) {
        const all = readJson(decodeText(await askGateway(cli, flags, "ca --json"))) as Record<
          string,
          unknown
        >;
        await printJson(cli.host, which === undefined ? all : { [which]: all[which] });
      } else await printLines(cli, await asked(cli, flags, ["ca", which]));
    }),
    [
      ["sshm ca user > /etc/ssh/mesh_ca.pub", "for TrustedUserCAKeys of a stock sshd"],
      ["sshm ca x509 > roots.pem", "for whoever checks X.509 certificates"],
    ],
  );
  addRotate(command, cli);
}

interface RotateFlags {
  readonly overlap?: string;
}

function addRotate(parent: Command, cli: Cli): void {
  const command = parent.command("rotate")
    .description("make a new root: trusted at once, and the one that signs after a time")
    .addArgument(new Argument("<KIND>", "of which certificates").choices(AUTHORITIES))
    .option("--overlap <DURATION>", "until it signs; 0: at once (default: 24h)", readOverlap);
  addExamples(
    run<RotateFlags>(cli, command, async (flags, [kind]) => {
      const overlap = flags.overlap === undefined ? [] : ["--overlap", flags.overlap];
      await asked(cli, flags, ["ca", "rotate", kind, ...overlap]);
      if (flags.json) await printJson(cli.host, { rotated: kind });
    }),
    [["sshm ca rotate user", "what the old root has signed counts until it expires"]],
  );
}

function readOverlap(text: string): string {
  return text === "0" ? text : readTtl(text);
}

function addKrl(program: Command, cli: Cli): void {
  const command = program.command("krl")
    .description("the list of revoked keys and certificates, in OpenSSH's format (binary)");
  addExamples(
    run(cli, command, async (flags) => {
      const list = await askGateway(cli, flags, "krl");
      if (flags.json) await printJson(cli.host, { krl: encodeBase64(list) });
      else if (list.length > 0) await cli.host.stdio.write(list);
    }),
    [["sshm krl > /etc/ssh/mesh.krl", "for RevokedKeys of a stock sshd"]],
  );
}

interface CreateFlags {
  readonly name: string;
  readonly ttl?: string;
}

function addTokens(parent: Command, cli: Cli): void {
  const create = parent.command("create")
    .description("a token that lets one machine in, once, under one name")
    .requiredOption("--name <NAME>", "the name that the machine will have")
    .option("--ttl <DURATION>", "until when it can be used (default: as the gateway has it)", readTtl);
  addExamples(
    run<CreateFlags>(cli, create, async (flags) => {
      const ttl = flags.ttl === undefined ? [] : ["--ttl", flags.ttl];
      const words = ["token", "create", "--name", oneWord("--name", flags.name), ...ttl, "--json"];
      const made = readJson(await asked(cli, flags, words)) as Record<string, unknown>;
      if (flags.json) return await printJson(cli.host, made);
      // Out is the token and nothing else, for TOKEN=$(sshm token create …).
      await print(cli.host, printable(String(made.token), Infinity));
      await note(cli.host, printable(`for ${made.name}, once, until ${made.expires}; id ${made.id}`));
    }),
    [
      [
        "sshm token create --name web --ttl 1h",
        "then on the machine: ssh-mesh-agent --gateway … --join TOKEN",
      ],
    ],
  );
  const ls = parent.command("ls").description("tokens that were made, used or not");
  addExamples(
    run(cli, ls, async (flags) => {
      const answer = await asked(cli, flags, flags.json ? ["token", "ls", "--json"] : ["token", "ls"]);
      if (flags.json) await printJson(cli.host, readJson(answer));
      else await printLines(cli, answer);
    }),
    [["sshm token ls --json", "all of them, with their ids"]],
  );
  const rm = parent.command("rm").description("take a token back, with what it has let in")
    .argument("<ID>", "as 'token ls' shows it");
  addExamples(
    run(cli, rm, async (flags, [id]) => {
      await asked(cli, flags, ["token", "rm", oneWord("the id", id)]);
      if (flags.json) await printJson(cli.host, { removed: id });
    }),
    [["sshm token rm k3v9", "the machine's connections end, too"]],
  );
}

function addRevoke(program: Command, cli: Cli): void {
  const kinds = Object.entries(REVOCABLE).map(([kind, value]) => `  ${kind.padEnd(12)} ${value}`);
  const command = program.command("revoke")
    .description("take back a certificate, a key or an identity: what is open ends within seconds")
    .addArgument(new Argument("<KIND>", "what").choices(Object.keys(REVOCABLE)))
    .argument("<VALUE...>", "which")
    .option("--reason <TEXT>", "why, for the record")
    .addHelpText("after", `\nKinds:\n${kinds.join("\n")}`);
  addExamples(
    run<{ readonly reason?: string }>(cli, command, async (flags, [kind, ...value]) => {
      const reason = flags.reason === undefined ? [] : ["--reason", flags.reason];
      await asked(cli, flags, ["revoke", kind, ...value, ...reason]);
      if (flags.json) await printJson(cli.host, { revoked: kind, value: value.join(" ") });
      else await print(cli.host, `revoked: ${kind} ${value.join(" ")}`);
    }),
    [
      ["sshm revoke key SHA256:… --reason 'laptop lost'", "a key and every certificate for it"],
      [
        "sshm revoke identity https://accounts.google.com 1234567890",
        "a person, with tokens and certificates",
      ],
    ],
  );
}

/** What the gateway says to a command. */
async function asked(cli: Cli, flags: GlobalFlags, words: readonly string[]): Promise<string> {
  const line = words.join(" ");
  // The gateway takes one line, its words between spaces.
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(line)) throw new SshmError("usage", "arguments are one line of text");
  return decodeText(await askGateway(cli, flags, line));
}

async function printLines(cli: Cli, text: string): Promise<void> {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  await print(cli.host, ...lines.map((line) => printableLines(line)));
}

function oneWord(what: string, text: string): string {
  if (/^\S+$/.test(text)) return text;
  throw new SshmError("usage", `${what} '${printable(text)}' is not one word`);
}
