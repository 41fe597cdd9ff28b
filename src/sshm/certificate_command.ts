/** `sshm cert`: a short certificate for one's own key, from the gateway. */
import type { Command } from "commander";
import { expandHome, openness, openTextIfThere, readingFrom } from "../agent/text_file.ts";
import { decodeText, equal } from "../bytes/bytes.ts";
import type { Certificate } from "../cert/types.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine, type PublicKeyLine } from "../keys/public_key.ts";
import { FilesError } from "../platform/files.ts";
import { certificateFacts, factLines, isValid, readCertificateLine } from "./certificate_facts.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { USUAL_NAMES } from "./credentials.ts";
import { SshmError } from "./exit_codes.ts";
import { type GlobalFlags, readDuration, readTtl } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { print, printJson } from "./output.ts";
import { askGateway } from "./remote_commands.ts";
import { writeText } from "./write_text.ts";

interface Flags {
  readonly ttl?: string;
  readonly key?: string;
  readonly new?: true;
  readonly keep?: number;
  readonly show?: true;
}

export function addCertificateCommand(program: Command, cli: Cli): void {
  const command = program.command("cert")
    .description("get a certificate for your key and put it beside it, where ssh finds it")
    .option("--key <FILE>", "the key (default: --identity, else ~/.ssh/id_*)")
    .option("--new", "make the key where there is none (default: ~/.ssh/id_ed25519)")
    .option(
      "--ttl <DURATION>",
      "how long it is to last: 10m, 1h (default: as the gateway gives them)",
      readTtl,
    )
    .option("--keep <DURATION>", "do nothing while the one that is there lasts so long", readDuration)
    .option("--show", "show what is there instead");
  addExamples(
    run<Flags>(cli, command, (flags) => flags.show ? show(cli, flags) : obtain(cli, flags)),
    [
      ["sshm cert --token-file ~/token --new", "a first key and its certificate: then ssh logs in by itself"],
      [
        "sshm cert --keep 2m && ssh -J gw.mycorp.com:15022 app@web.mycorp.com",
        "asks the gateway when it must",
      ],
      ["sshm cert --show --json", "principals, times, authority, as JSON"],
    ],
  );
}

async function obtain(cli: Cli, flags: Flags & GlobalFlags): Promise<void> {
  const { host } = cli;
  const key = await findKey(host, flags);
  const file = `${key.path}-cert.pub`;
  if (flags.keep !== undefined) {
    const there = await certificateAt(host, file).catch(() => undefined);
    if (
      there && equal(there.publicKey.blob, key.line.key.blob) && isValid(there, host.clock.now(), flags.keep)
    ) {
      return await tell(cli, flags, file, there);
    }
  }
  const asked = flags.ttl === undefined ? "cert" : `cert --ttl ${flags.ttl}`;
  const stdin = `${formatPublicKey(key.line.key, key.line.comment)}\n`;
  const line = decodeText(await askGateway(cli, flags, asked, { stdin, plainKeys: true })).trim();
  const certificate = readAnswer(line);
  if (certificate.role !== "user" || !equal(certificate.publicKey.blob, key.line.key.blob)) {
    throw new SshmError("failed", "the gateway's answer is no user certificate for this key");
  }
  await writeText(host, file, `${line}\n`, 0o644);
  await tell(cli, flags, file, certificate);
}

function readAnswer(line: string): Certificate {
  try {
    return readCertificateLine(line);
  } catch (cause) {
    throw new SshmError("failed", `the gateway's answer is no certificate: ${(cause as Error).message}`, {
      cause,
    });
  }
}

async function show(cli: Cli, flags: Flags & GlobalFlags): Promise<void> {
  const { path } = await findKey(cli.host, { ...flags, new: undefined });
  const file = `${path}-cert.pub`;
  const certificate = await certificateAt(cli.host, file);
  if (!certificate) throw new SshmError("files", `there is no certificate ${file}: 'sshm cert' gets one`);
  const facts = await certificateFacts(certificate, cli.host.clock.now());
  if (flags.json) await printJson(cli.host, { file, ...facts });
  else await print(cli.host, ...factLines(facts));
}

async function tell(
  { host }: Cli,
  { json }: GlobalFlags,
  file: string,
  certificate: Certificate,
): Promise<void> {
  const facts = await certificateFacts(certificate, host.clock.now());
  if (json) return await printJson(host, { file, ...facts });
  const until = facts.valid_before ? `until ${facts.valid_before}` : "for ever";
  await print(host, `${file}: ${certificate.principals.join(" ")}, ${until}`);
}

interface OwnKey {
  /** Of the private key, also where only its public half is there. */
  readonly path: string;
  readonly line: PublicKeyLine;
}

async function findKey(host: SshmHost, flags: Flags & GlobalFlags): Promise<OwnKey> {
  const home = host.environment("HOME") ?? "/";
  const named = flags.key ?? flags.identity[0];
  const usual = USUAL_NAMES.map((name) => `${home}/.ssh/${name}`);
  const paths = named === undefined ? usual : [expandHome(named, home).replace(/\.pub$/, "")];
  for (const path of paths) {
    const line = await publicHalf(host, path);
    if (line) return { path, line };
  }
  if (flags.new) return await makeKey(host, paths[0]);
  const where = named === undefined ? `${home}/.ssh` : paths[0];
  throw new SshmError(
    "files",
    `there is no key ${named === undefined ? "in" : "at"} ${where}: --new makes one`,
  );
}

async function publicHalf({ files }: SshmHost, path: string): Promise<PublicKeyLine | undefined> {
  const half = await openTextIfThere(files, `${path}.pub`);
  if (half) return await readingFrom(half.path, () => parsePublicKeyLine(half.text));
  const whole = await openTextIfThere(files, path);
  if (!whole) return undefined;
  const open = openness(whole);
  if (open) throw new SshmError("files", open);
  const key = await readingFrom(path, () => parsePrivateKey(whole.text));
  return { key: key.publicKey, comment: key.comment };
}

async function makeKey(host: SshmHost, path: string): Promise<OwnKey> {
  const comment = `${host.user} by sshm`;
  const key = await generatePrivateKey("ssh-ed25519", { comment });
  try {
    await host.ownFiles.makePrivateFolder(path.replace(/\/[^/]*$/, "") || "/");
  } catch (error) {
    // Others may enter a folder that was there: the key itself is 0600.
    if (!(error instanceof FilesError && error.code === "permission")) throw error;
  }
  await writeText(host, path, formatPrivateKey(key), 0o600);
  await writeText(host, `${path}.pub`, `${formatPublicKey(key.publicKey, comment)}\n`, 0o644);
  return { path, line: { key: key.publicKey, comment } };
}

async function certificateAt({ files }: SshmHost, path: string): Promise<Certificate | undefined> {
  const file = await openTextIfThere(files, path);
  return file && await readingFrom(path, () => readCertificateLine(file.text));
}
