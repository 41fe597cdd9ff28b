/** What `ssh GATEWAY COMMAND` can be. */
import type { PublicKey } from "../../keys/types.ts";
import type { Lease } from "../../routing/registry.ts";
import type { Flow } from "../../telemetry/flow.ts";
import type { Client } from "../client.ts";
import type { GatewayParts } from "../parts.ts";

/** What commands may look at. */
export interface CommandContext {
  readonly client: Client;
  /** Names and ports that the client serves. */
  readonly served: readonly string[];
  readonly parts: GatewayParts;
  readonly gateway: GatewayView;
}

/** The gateway, as commands see it. */
export interface GatewayView {
  readonly hostKeys: readonly PublicKey[];
  /** `known_hosts` host names: `[gw.example.com]:15022`. */
  readonly hostNames: readonly string[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly version: string;
  readonly clients: number;
  readonly draining: boolean;
  leases(): Promise<Lease[]>;
  flows(): Iterable<Flow>;
}

/** What a command has to say. */
export interface Output {
  /** Lines without their ends. */
  readonly out?: readonly string[];
  readonly err?: readonly string[];
  /** Default 0. */
  readonly exit?: number;
  /** Why it was permitted, for the audit record. Default: everybody may. */
  readonly rule?: string;
}

export interface Command {
  /** With its arguments: `ls [--json]`. */
  readonly usage: string;
  readonly summary: string;
  /** @param args words after the command */
  run(context: CommandContext, args: readonly string[]): Output | Promise<Output>;
}

/** The command is not for this client, or was not understood. */
export const EXIT = { refused: 77, usage: 64, unknown: 127 } as const;

/** Splits off `--json`; anything else is an error. */
export function jsonOnly(args: readonly string[]): { readonly json: boolean } | Output {
  const unknown = args.find((argument) => argument !== "--json");
  if (unknown === undefined) return { json: args.length > 0 };
  return { err: ["there is no such argument; the only one is --json"], exit: EXIT.usage };
}

/** One value as the JSON text of `--json`: in ASCII, so that it is printable and stays JSON. */
export function jsonOutput(value: unknown, rule?: string): Output {
  const json = JSON.stringify(value).replaceAll(/[^ -~]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return { out: [json], rule };
}
