/** What `ssh GATEWAY COMMAND` can be. */
import type { Bytes } from "../../bytes/bytes.ts";
import { CaError, type CaErrorCode, type CertificateAuthority } from "../../ca/types.ts";
import type { Action, Decision, Resource } from "../../identity/policy/mod.ts";
import type { PublicKey } from "../../keys/types.ts";
import type { Lease } from "../../routing/registry.ts";
import type { Flow } from "../../telemetry/flow.ts";
import type { Client } from "../client.ts";
import { type Enrolment, JoinError } from "../../ca/enrolment.ts";
import type { GatewayParts } from "../parts.ts";

/** What commands may look at. */
export interface CommandContext {
  readonly client: Client;
  /** Names and ports that the client serves. */
  readonly served: readonly string[];
  readonly parts: GatewayParts;
  readonly gateway: GatewayView;
  /** What the client sends, to its end. @throws {CommandError} when it is more than {@link MAX_INPUT} */
  input(): Promise<Bytes>;
}

/** Bytes that a command reads: the longest public keys and certificates have some 4 KiB. */
export const MAX_INPUT = 16 * 1024;

/** The gateway, as commands see it. */
export interface GatewayView {
  readonly hostKeys: readonly PublicKey[];
  /** `known_hosts` host names: `[gw.example.com]:15022`. */
  readonly hostNames: readonly string[];
  /** Whose workloads its authority certifies. */
  readonly trustDomains: readonly string[];
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
  /** In place of lines: exactly these bytes. */
  readonly bytes?: Bytes;
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
  /**
   * @param args words after the command
   * @throws {CommandError}
   */
  run(context: CommandContext, args: readonly string[]): Output | Promise<Output>;
}

/** How commands end that did not do what was asked, as sysexits(3) where it has a number. */
export const EXIT = { refused: 77, usage: 64, data: 65, unavailable: 69, unknown: 127 } as const;

/** How a command ends for want of a certificate or a record. */
export const CA_EXITS: Readonly<Record<CaErrorCode, number>> = {
  refused: EXIT.refused,
  invalid: EXIT.data,
  unavailable: EXIT.unavailable,
};

/** A command that does not do what was asked: one sentence for the client. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  constructor(readonly exit: number, message: string, readonly rule?: string) {
    super(message);
  }
}

/** Asks the authority or its records. @throws {CommandError} with their sentence when they refuse */
export async function asked<T>(rule: string, asking: Promise<T>): Promise<T> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof CaError) throw new CommandError(CA_EXITS[error.code], error.message, rule);
    if (error instanceof JoinError) throw new CommandError(EXIT.refused, error.message, rule);
    throw error;
  }
}

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

/** @throws {CommandError} with the policy's sentence when the client may not */
export function requireRight(
  { client, parts }: CommandContext,
  action: Action,
  resource: Resource = { kind: "gateway" },
): Decision {
  const decision = parts.judge.decide(client.identity, action, resource, client.context());
  if (decision.allowed) return decision;
  throw new CommandError(EXIT.refused, decision.peerSentence, decision.rule);
}

/** @throws {CommandError} where there is none */
export function requireAuthority({ parts }: CommandContext): CertificateAuthority {
  if (parts.authority) return parts.authority;
  throw new CommandError(EXIT.unavailable, "this gateway has no certificate authority");
}

/** @throws {CommandError} where there is none */
export function requireEnrolment({ parts }: CommandContext): Enrolment {
  if (parts.enrolment) return parts.enrolment;
  throw new CommandError(EXIT.unavailable, "this gateway enrols nobody");
}
