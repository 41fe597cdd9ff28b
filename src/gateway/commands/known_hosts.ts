/** `known-hosts`: lines for the client's known_hosts file. */
import { CaError } from "../../ca/types.ts";
import { isUnderDomain } from "../../identity/principal.ts";
import { formatKnownHost } from "../../keys/known_hosts.ts";
import { authorityLines } from "../known_hosts.ts";
import { type Command, type CommandContext, EXIT } from "./command.ts";
import { visibleNodes } from "./ls.ts";

export const knownHosts: Command = {
  usage: "known-hosts",
  summary: "the authority of hosts and the gateway's own keys, as lines for ~/.ssh/known_hosts",
  async run(context, args) {
    if (args.length > 0) return { err: ["known-hosts takes no arguments"], exit: EXIT.usage };
    const { gateway, parts: { authority, naming: { domain } } } = context;
    const hosts = gateway.hostNames.join(",");
    const keys = await Promise.all(gateway.hostKeys.map((key) => formatKnownHost(hosts, key)));
    if (!authority) return { out: keys };
    const { hostNames, trustDomains } = gateway;
    const facts = { domain, gateway: hostNames, trustDomains, nodes: await nodesElsewhere(context) };
    try {
      const { host } = await authority.authorities();
      return { out: [...await authorityLines(host, facts), ...keys] };
    } catch (error) {
      if (!(error instanceof CaError)) throw error;
      // The gateway's own keys are true all the same.
      return { out: keys, err: [error.message] };
    }
  },
};

/** Nodes outside the gateway's domain that the client may know of: others are named by a pattern. */
async function nodesElsewhere(context: CommandContext): Promise<string[]> {
  const { domain } = context.parts.naming;
  const names = (await visibleNodes(context)).map(({ name }) => name);
  return [...new Set(names)].filter((name) => !isUnderDomain(name, domain)).sort();
}
