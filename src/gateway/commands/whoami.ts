/** `whoami`: what the gateway knows of the client. */
import { describeIdentity } from "../../api/mod.ts";
import { type Command, jsonOnly, jsonOutput } from "./command.ts";

export const whoami: Command = {
  usage: "whoami [--json]",
  summary: "who you are here, by which credential, and what you serve",
  run({ client, served, parts }, args) {
    const asked = jsonOnly(args);
    if (!("json" in asked)) return asked;
    const { identity, description, instance } = client;
    const facts = {
      ...describeIdentity(identity, parts.judge.groupsOf(identity), description),
      instance,
      serves: served.length > 0 ? served : undefined,
    };
    if (asked.json) return jsonOutput(facts);
    const lines = Object.entries(facts).flatMap(([label, value]) => {
      const text = Array.isArray(value) ? value.join(" ") : `${value ?? ""}`;
      return text === "" ? [] : [`${label.padEnd(12)} ${text}`];
    });
    return { out: lines };
  },
};
