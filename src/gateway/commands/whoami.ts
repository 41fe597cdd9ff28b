/** `whoami`: what the gateway knows of the client. */
import { type Command, jsonOnly, jsonOutput } from "./command.ts";

export const whoami: Command = {
  usage: "whoami [--json]",
  summary: "who you are here, by which credential, and what you serve",
  run({ client, served, parts }, args) {
    const asked = jsonOnly(args);
    if (!("json" in asked)) return asked;
    const { name, kind, issuer, subject, fqdn, email, owner, expiresAt, credential } = client.identity;
    const groups = parts.judge.groupsOf(client.identity);
    const facts = {
      name,
      kind,
      issuer,
      subject,
      owner,
      fqdn,
      email,
      groups: groups.length > 0 ? groups : undefined,
      fingerprint: credential.fingerprint,
      serial: credential.serial,
      key_id: credential.keyId,
      expires: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
      from: client.description,
      instance: client.instance,
      serves: served.length > 0 ? served : undefined,
    };
    if (asked.json) return jsonOutput(facts);
    const lines = Object.entries(facts)
      .filter(([, value]) => value !== undefined)
      .map(([label, value]) => `${label.padEnd(12)} ${Array.isArray(value) ? value.join(" ") : value}`);
    return { out: lines };
  },
};
