/** `help`: what there is. */
import type { Command } from "./command.ts";

/** @param commands all of them, by name */
export function helpOf(commands: Readonly<Record<string, Command>>): Command {
  return {
    usage: "help",
    summary: "this list",
    run({ gateway }) {
      const [host = "GATEWAY"] = gateway.hostNames;
      const { name, port } = /^\[(?<name>.*)\]:(?<port>\d+)$/.exec(host)?.groups ??
        { name: host, port: "22" };
      const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length));
      return {
        out: [
          "This is a gateway to workloads; it gives nobody a shell. Commands:",
          "",
          ...Object.values(commands).map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`),
          "",
          `Reach a node:  ssh -J ${name}:${port} NAME.${name}`,
          `Serve a node:  ssh -o ExitOnForwardFailure=yes -N -R NAME:22:localhost:22 -p ${port} ${name}`,
        ],
      };
    },
  };
}
