/** `known-hosts`: lines for the client's known_hosts file. */
import { formatKnownHost } from "../../keys/known_hosts.ts";
import { type Command, EXIT } from "./command.ts";

export const knownHosts: Command = {
  usage: "known-hosts",
  summary: "the gateway's host keys, as lines for ~/.ssh/known_hosts",
  async run({ gateway }, args) {
    if (args.length > 0) return { err: ["known-hosts takes no arguments"], exit: EXIT.usage };
    const hosts = gateway.hostNames.join(",");
    return { out: await Promise.all(gateway.hostKeys.map((key) => formatKnownHost(hosts, key))) };
  },
};
