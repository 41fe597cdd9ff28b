/** The policy in force. */
import {
  authorize,
  type Decision,
  emptyPolicy,
  mightDial,
  type OwnerLimits,
  parsePolicy,
  type Policy,
  policyGroupsOf,
} from "../identity/policy/mod.ts";
import type { Action, DecisionContext, Resource } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import type { Files } from "../platform/files.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";
import { StartError } from "./exit_codes.ts";
import { readTrustedText } from "./text_file.ts";

/** Answers who may what, by the policy as it is now: for whoever must not keep one that has been replaced. */
export interface Judge {
  decide(identity: Identity, action: Action, resource: Resource, context: DecisionContext): Decision;
  /** Whether `identity` might dial anything at all: names are looked up only then. */
  mightDial(identity: Identity, context: DecisionContext): boolean;
  /** Groups of the policy that `identity` is in. */
  groupsOf(identity: Identity): string[];
}

export class PolicyInForce implements Judge {
  #policy: Policy;
  readonly #decisions: MeshMetrics["decisions"];

  constructor(policy: Policy, metrics: Pick<MeshMetrics, "decisions">) {
    this.#policy = policy;
    this.#decisions = metrics.decisions;
  }

  replace(policy: Policy): void {
    this.#policy = policy;
  }

  decide(identity: Identity, action: Action, resource: Resource, context: DecisionContext): Decision {
    const decision = authorize(this.#policy, identity, action, resource, context);
    this.#decisions.add(1, { action, outcome: decision.allowed ? "allowed" : "refused" });
    return decision;
  }

  mightDial(identity: Identity, context: DecisionContext): boolean {
    return mightDial(this.#policy, identity, context);
  }

  groupsOf(identity: Identity): string[] {
    return policyGroupsOf(this.#policy, identity);
  }
}

/**
 * Reads the policy; without a file, the defaults alone.
 * @throws {StartError} `files`, with every mistake and its line
 */
export async function loadPolicy(
  files: Files,
  path: string | undefined,
  owners: OwnerLimits,
): Promise<Policy> {
  if (path === undefined) return { ...emptyPolicy, owners };
  let text: string;
  try {
    text = await readTrustedText(files, path);
  } catch (error) {
    throw new StartError("files", `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return parsePolicy(text, { file: path, owners });
  } catch (error) {
    throw new StartError("files", (error as Error).message, { cause: error });
  }
}
