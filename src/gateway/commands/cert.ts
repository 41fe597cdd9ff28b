/** `cert`: short certificates, for whoever asks or for the nodes that they serve. */
import { CaError, type CertificateAuthority, type IssuedSshCertificate } from "../../ca/types.ts";
import type { Decision } from "../../identity/policy/mod.ts";
import { heldNames, nodeResource } from "../held_names.ts";
import { type Arguments, lifetimeOf, readArguments } from "./arguments.ts";
import {
  type Command,
  type CommandContext,
  CommandError,
  EXIT,
  type Output,
  requireAuthority,
  requireRight,
} from "./command.ts";
import { readPublicKey } from "./public_key_input.ts";

const USAGE = "cert [--ttl 5m] < id.pub, or cert --host [--ttl 24h] < hostkey.pub";

export const cert: Command = {
  usage: "cert [--host] [--ttl TIME]",
  summary:
    "a certificate for the public key that you send: for yourself, or (--host) for the nodes that you serve",
  async run(context, args) {
    const asked = readArguments(args, { flags: ["--host"], values: ["--ttl"] }, USAGE);
    return asked.flags.has("--host") ? await certifyHost(context, asked) : await certifyUser(context, asked);
  },
};

/** How a command ends for want of a certificate. */
const EXITS: Readonly<Record<CaError["code"], number>> = {
  refused: EXIT.refused,
  invalid: EXIT.data,
  unavailable: EXIT.unavailable,
};

async function certifyUser(context: CommandContext, asked: Arguments): Promise<Output> {
  const { client: { identity, description: remote }, parts } = context;
  // Before the key is read: who may not need not send one.
  const decision = requireRight(context, "cert");
  const lifetime = lifetimeOf(asked);
  const publicKey = await readPublicKey(context, USAGE);
  const groups = parts.judge.groupsOf(identity);
  return await issue(
    context,
    decision,
    (authority) => authority.issueUser({ identity: { ...identity, groups }, publicKey, lifetime, remote }),
  );
}

async function certifyHost(context: CommandContext, asked: Arguments): Promise<Output> {
  const { client: { identity, description: remote }, parts } = context;
  const held = await heldNames(identity, parts);
  if (held.length === 0) {
    throw new CommandError(
      EXIT.refused,
      "you serve no name now: register one first (ssh -R NAME:22:…)",
      "names",
    );
  }
  const decisions = held.map((name) => {
    const resource = nodeResource(name, parts.naming.domain);
    return { name, decision: parts.judge.decide(identity, "cert-host", resource, context.client.context()) };
  });
  const allowed = decisions.filter(({ decision }) => decision.allowed);
  if (allowed.length === 0) {
    const [{ decision: { peerSentence, rule } }] = decisions;
    throw new CommandError(EXIT.refused, peerSentence, rule);
  }
  const lifetime = lifetimeOf(asked);
  const publicKey = await readPublicKey(context, USAGE);
  const names = allowed.map(({ name }) => name);
  return await issue(
    context,
    allowed[0].decision,
    (authority) => authority.issueHost({ identity, publicKey, lifetime, remote, names }),
  );
}

async function issue(
  context: CommandContext,
  { rule }: Decision,
  ask: (authority: CertificateAuthority) => Promise<IssuedSshCertificate>,
): Promise<Output> {
  try {
    const { line } = await ask(requireAuthority(context));
    return { out: [line], rule };
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    throw new CommandError(EXITS[error.code], error.message, rule);
  }
}
