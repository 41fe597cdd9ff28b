/**
 * Audit events: everything that was decided or changed and is no flow: sign-ins, registrations, commands, refusals,
 * configuration. One JSON line each.
 */
import type { Clock } from "../platform/clock.ts";
import { type Actor, actorOf } from "./actor.ts";
import { jsonLine } from "./json_line.ts";
import { logger } from "./log.ts";
import { RecordLimit } from "./record_limit.ts";

/** Each event's own fields, by its name. */
export interface AuditEvents {
  "auth.accepted": { method: string };
  /** `actor` is absent: nobody was proved. `claimed`: what the peer said, or the key's fingerprint. */
  "auth.refused": { method: string; reason: string; claimed?: string };
  "node.registered": { name: string; port: number; epoch: number; rule: string; published: boolean };
  /** The registration stands; `publish` was refused. */
  "node.unpublished": { name: string; port: number; rule: string };
  "node.refused": { name: string; port: number; rule: string; reason: string };
  "node.released": { name: string; port?: number; epoch: number };
  "node.evicted": { name: string; epoch: number; reason: string };
  "listener.opened": { address: string; rule: string };
  "listener.closed": { address: string };
  /** `action` on `resource` was refused; `near` are the near misses, as phrases. */
  "access.refused": {
    action: string;
    resource: string;
    rule: string;
    reason: string;
    near?: readonly string[];
  };
  "command.run": { command: string; rule: string; exit: number };
  "cert.issued": {
    kind: "user" | "host" | "x509";
    /** Decimal for SSH, hexadecimal for X.509. */
    serial: string;
    principals: readonly string[];
    expires: string;
    profile: string;
    keyId?: string;
    /** Of the certified key. */
    fingerprint?: string;
  };
  "cert.refused": { kind: "user" | "host" | "x509"; code: string; reason: string };
  "cert.revoked": { revocation: Readonly<Record<string, string>>; by: string; reason?: string };
  /** A root was made, or came from files; `signs`: from when on. */
  "ca.root": { kind: "user" | "host" | "x509"; fingerprint: string; signs: string; why: string };
  "join_token.created": { id: string; name: string; expires: string };
  "join_token.removed": { id: string; name: string };
  "key.enrolled": { id: string; name: string; fingerprint: string };
  "join.refused": { id: string; reason: string };
  "policy.loaded": { file: string; rules: number };
  /** The old one stays in force. */
  "policy.broken": { file: string; problems: readonly string[] };
  "flows.revoked": { count: number; reason: string };
  "ca.started": { listen: readonly string[]; version: string };
  "ca.stopped": Record<never, never>;
  "gateway.started": { listen: readonly string[]; version: string };
  "gateway.draining": { flows: number; leases: number };
  "gateway.stopped": { cut: number };
  /** `count` more events `of` this kind came from the same actor, or address, within a minute. */
  "records.left_out": { of: string; count: number };
}

export type AuditEventName = keyof AuditEvents;

/** What the log tells besides refusals: who watches it wants to see workloads come and go. */
const TOLD: ReadonlySet<AuditEventName> = new Set(["node.registered", "node.released", "node.evicted"]);

/** Who and from where; absent for what the gateway did by itself. */
export interface AuditContext {
  readonly actor?: Actor;
  /** The peer's address: `192.0.2.1:50000`. */
  readonly remote?: string;
  /** Ties together what belongs to one connection. */
  readonly connection?: string;
  /** It took no right: anybody who is let in can cause it without end, as refusals. */
  readonly unprivileged?: boolean;
}

/** Where records go. */
export interface AuditOptions {
  readonly clock: Clock;
  /** Takes one JSON line without its break. Must not throw. */
  readonly write: (line: string) => void;
}

/** Writes audit events. */
export class Audit {
  readonly #options: AuditOptions;
  readonly #limit = new RecordLimit<AuditContext>();

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /**
   * Writes one event. Peers' text in `details` is made printable, and what looks like a secret left out. The log is told of
   * refusals too, and of workloads that come and go: whoever wonders why something does not work looks there first. Of
   * refusals, and of what took no right, so many are written and the others counted: see {@link RecordLimit}.
   */
  record<Name extends AuditEventName>(
    name: Name,
    details: AuditEvents[Name],
    context: AuditContext = {},
  ): void {
    const now = this.#options.clock.monotonic();
    this.#tellLeftOut(now);
    const unlimited = !name.endsWith(".refused") && !context.unprivileged;
    if (unlimited || this.#limit.admits(name, whose(context), context, now)) {
      this.#write(name, details, context);
    }
  }

  /** Writes what has been counted and not yet told: before the end. */
  flush(): void {
    this.#tellLeftOut(Infinity);
  }

  #tellLeftOut(now: number): void {
    for (const { of, count, context } of this.#limit.close(now)) {
      this.#write("records.left_out", { of, count }, context);
    }
  }

  #write<Name extends AuditEventName>(name: Name, details: AuditEvents[Name], context: AuditContext): void {
    const { actor, remote, connection } = context;
    this.#options.write(jsonLine({
      event: name,
      time: new Date(this.#options.clock.now()).toISOString(),
      ...(actor && { who: actorOf(actor) }),
      ...(remote !== undefined && { remote }),
      ...(connection !== undefined && { connection }),
      ...details,
    }));
    const level = name.endsWith(".refused") ? "warn" : TOLD.has(name) ? "info" : undefined;
    if (!level) return;
    const who = actor && { who: actor.name };
    logger("audit")[level]("{event}", {
      event: name,
      ...who,
      ...(remote !== undefined && { remote }),
      ...details,
    });
  }
}

/** Who causes events, as far as that is known. */
function whose({ actor, remote = "" }: AuditContext): string {
  return actor ? JSON.stringify([actor.issuer, actor.subject]) : remote.replace(/:\d+$/, "");
}
