/** `cert`: short certificates, for whoever asks or for the nodes that they serve. */
import { heldNames, nodeResource } from "../held_names.ts";
import type { Restrictions } from "../../keys/restrictions.ts";
import { type Arguments, lifetimeOf, readArguments } from "./arguments.ts";
import {
  asked,
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
    const read = readArguments(args, { flags: ["--host"], values: ["--ttl"] }, USAGE);
    return read.flags.has("--host") ? await certifyHost(context, read) : await certifyUser(context, read);
  },
};

async function certifyUser(context: CommandContext, read: Arguments): Promise<Output> {
  const { client: { identity, description: remote }, parts } = context;
  // Before the key is read: who may not need not send one.
  const decision = requireRight(context, "cert");
  requireNothingLost(context.client.restrictions);
  const lifetime = lifetimeOf(read);
  const publicKey = await readPublicKey(context, USAGE);
  const groups = parts.judge.groupsOf(identity);
  const issuing = requireAuthority(context).issueUser({
    identity: { ...identity, groups },
    publicKey,
    lifetime,
    remote,
  });
  const { line } = await asked(decision.rule, issuing);
  return { out: [line], rule: decision.rule };
}

/** @throws {CommandError} when a certificate would permit what the key's line does not: not all of it can be said there */
function requireNothingLost(line: Restrictions): void {
  const { permitOpen, permitListen, permitPty, permitAgentForwarding, permitX11Forwarding, permitUserRc } =
    line;
  const isWhole = permitPty && permitAgentForwarding && permitX11Forwarding && permitUserRc;
  if (isWhole && !permitOpen && !permitListen) return;
  const sentence = "your key's line permits less than a certificate would: ask with another key";
  throw new CommandError(EXIT.refused, sentence, "restricted key");
}

async function certifyHost(context: CommandContext, read: Arguments): Promise<Output> {
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
  const lifetime = lifetimeOf(read);
  const publicKey = await readPublicKey(context, USAGE);
  const names = allowed.map(({ name }) => name);
  const { rule } = allowed[0].decision;
  const issuing = requireAuthority(context).issueHost({ identity, publicKey, lifetime, remote, names });
  const { line } = await asked(rule, issuing);
  return { out: [line], rule };
}
