/** Asks the policy, and makes a refusal of its answer. */
import { anonymous } from "../identity/principal.ts";
import type { Action, Decision, Resource } from "../identity/policy/mod.ts";
import type { ApiOptions } from "./options.ts";
import { Problem } from "./problem.ts";
import type { Call } from "./route.ts";

type Asker = Pick<Call, "identity" | "context" | "remote">;
type Options = Pick<ApiOptions, "judge" | "audit">;

const HERE: Resource = { kind: "gateway" };

/**
 * Goes on only when one of `actions` is permitted, on the gateway itself unless `resource` says otherwise.
 * @param actions of which the last one is what a refusal speaks of
 * @returns the first action that was permitted, and the decision
 * @throws {Problem} `not-permitted`, with one audit record
 */
export function requireRight(
  options: Options,
  asker: Asker,
  actions: Action | readonly [Action, ...Action[]],
  resource: Resource = HERE,
): { readonly action: Action; readonly decision: Decision } {
  const asked = typeof actions === "string" ? [actions] : actions;
  const decisions = asked.map((action) => ({
    action,
    decision: options.judge(asker.identity, action, resource, asker.context),
  }));
  const allowed = decisions.find(({ decision }) => decision.allowed);
  if (allowed) return allowed;
  const { decision } = decisions.at(-1)!;
  refuse(options, asker, asked.join(" or "), resource, decision);
}

function refuse(
  { audit }: Options,
  { identity, remote }: Asker,
  action: string,
  resource: Resource,
  { rule, reason, peerSentence, nearMisses }: Decision,
): never {
  const near = nearMisses.map(({ rule, why }) => `${rule}: ${why.join(", ")}`);
  audit.record("access.refused", {
    action,
    resource: resource.kind === "node" ? resource.name : "api",
    rule,
    reason,
    ...(near.length > 0 && { near }),
  }, { remote, ...(identity !== anonymous && { actor: identity }) });
  throw new Problem("not-permitted", peerSentence);
}
