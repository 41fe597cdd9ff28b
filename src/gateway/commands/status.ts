/** `status`: how the gateway is doing, for owners and who has the right `admin` or `audit`. */
import type { Action } from "../../identity/policy/mod.ts";
import { type Command, type CommandContext, EXIT, jsonOnly, jsonOutput } from "./command.ts";

const RIGHTS: readonly Action[] = ["admin", "audit"];

export const status: Command = {
  usage: "status [--json]",
  summary: "connections, nodes and flows of the gateway (needs the right 'admin' or 'audit')",
  async run(context, args) {
    const asked = jsonOnly(args);
    if (!("json" in asked)) return asked;
    const { client, parts, gateway } = context;
    const decisions = RIGHTS.map((right) =>
      parts.judge.decide(client.identity, right, { kind: "gateway" }, client.context())
    );
    const allowed = decisions.find(({ allowed }) => allowed);
    if (!allowed) return { err: [decisions[0].peerSentence], exit: EXIT.refused };
    const facts = await describe(context);
    if (asked.json) return jsonOutput(facts, allowed.rule);
    const flows = facts.flow_list.map(({ who, action, target, up, down, seconds }) =>
      `  ${who} ${action} ${target}  up ${up} B  down ${down} B  ${seconds} s`
    );
    return {
      rule: allowed.rule,
      out: [
        `version      ${facts.version}${gateway.draining ? " (draining)" : ""}`,
        `started      ${facts.started}`,
        `clients      ${facts.clients}`,
        `leases       ${facts.leases}`,
        `flows        ${facts.flows}`,
        ...flows,
      ],
    };
  },
};

/** Flows that are listed one by one. */
const LISTED = 100;

async function describe({ gateway, client }: CommandContext) {
  const { now } = client.context();
  const flows = [...gateway.flows()];
  return {
    version: gateway.version,
    started: new Date(gateway.startedAt).toISOString(),
    draining: gateway.draining,
    clients: gateway.clients,
    leases: (await gateway.leases()).length,
    flows: flows.length,
    flow_list: flows.slice(0, LISTED).map((flow) => ({
      id: flow.id,
      who: flow.start.who.name,
      action: flow.start.action,
      target: flow.start.target,
      via: flow.via,
      up: flow.up,
      down: flow.down,
      seconds: Math.round((now - flow.startedAt) / 1000),
    })),
  };
}
