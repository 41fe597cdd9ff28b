/**
 * The one place where it is decided who may what. Pure and synchronous: time, source address and policy come in.
 *
 * Order of judgement:
 *  1. the credential itself: expired, used from where it may not be, forbidding what is asked → refused;
 *  2. a rule with `deny: true` that matches → refused, owners too;
 *  3. addresses that lead back into the gateway → refused, except to owners;
 *  4. what needs no rule: owners, self-service, an enrolled key's own name, what is published → allowed;
 *  5. any rule that matches → allowed;
 *  6. refused.
 */
import { parseIp } from "../../bytes/ip_address.ts";
import { parseAddressRange } from "../../bytes/ip_range.ts";
import { type CredentialLimits, ENROLLED_ISSUER, type Identity } from "../principal.ts";
import { dialRangeCoversAddress, isSpecialAddress, portInRange, sourceInRanges } from "../ranges.ts";
import type { CompiledRule } from "./compile.ts";
import { isMeant, misses } from "./misses.ts";
import type { Policy } from "./parse.ts";
import type { DecisionContext, Question, Resource } from "./resource.ts";
import { type Action, enrolledRights, forwardingRights, type Right, rightTable } from "./rights.ts";

/** What the policy says to one question. */
export interface Decision {
  readonly allowed: boolean;
  /** Name of the rule that decided, or one of {@link builtinRules}. For logs and flow records. */
  readonly rule: string;
  /** Why, for logs and the operator: may tell more than the peer should know. */
  readonly reason: string;
  /** A sentence for the peer, the same whether what it asked for exists or not. Empty when allowed. */
  readonly peerSentence: string;
  /** Milliseconds that what is opened now may last: the longest of the rules that allow; absent: no limit. */
  readonly maxSession?: number;
  /** Login names that the rules that allow give together; absent: the node alone decides. */
  readonly as?: readonly string[];
  /** For `register`: the right `shared` on the same node. */
  readonly shared: boolean;
  /** When refused: rules that would have allowed but for one condition. */
  readonly nearMisses: readonly Miss[];
}

/** A rule that did not match, and its conditions that failed, each as a phrase. */
export interface Miss {
  readonly rule: string;
  readonly why: readonly string[];
}

/** Names in `Decision.rule` that stand for no rule of the policy. */
export const builtinRules = {
  expired: "credential expired",
  source: "credential's source address",
  restricted: "credential's restrictions",
  /** A one-time join token enrols a key, and that is all. */
  joinToken: "join token",
  /** A certificate gets no certificate for its holder. */
  certificate: "certificate",
  special: "protected address",
  owner: "owner",
  selfService: "self-service",
  /** A key that was enrolled with a join token serves the name that it was given. */
  enrolled: "enrolled",
  published: "published",
  defaultDeny: "default deny",
} as const;

/**
 * Whether `identity` may do `action` on `resource` now.
 * @throws {TypeError} when the resource is not of the kind that the action is about
 */
export function authorize(
  policy: Policy,
  identity: Identity,
  action: Action,
  resource: Resource,
  context: DecisionContext,
): Decision {
  checkKind(action, resource);
  const question: Question = { identity, action, resource, context };
  const decision = byCredential(question) ?? byDeny(policy, question) ?? byProtection(question) ??
    byDefault(policy, question) ?? byRules(policy, question);
  if (action !== "register" || !decision.allowed) return decision;
  return { ...decision, shared: authorize(policy, identity, "shared", resource, context).allowed };
}

/**
 * Whether `identity` might be allowed to dial anything at all through the gateway: names are looked up for nobody else, or
 * how long a refusal takes, and what the name servers are asked, would tell strangers what exists.
 */
export function mightDial(policy: Policy, identity: Identity, context: DecisionContext): boolean {
  const resource: Resource = { kind: "address", port: 0, via: "gateway" };
  if (byCredential({ identity, action: "dial", resource, context })) return false;
  return (identity.owner && policy.owners.dial.length > 0) ||
    policy.rules.some((rule) => !rule.deny && rule.may.has("dial") && isMeant(rule, identity));
}

/**
 * Groups that `identity` is in: those of the policy whose conditions hold, and those that an authority of ours vouches for.
 * Sorted. Certificates carry them as `group:` principals.
 */
export function policyGroupsOf(policy: Policy, identity: Identity): string[] {
  const names = new Set(identity.groups);
  for (const [name, anyOf] of policy.groups) {
    if (anyOf.some((all) => all.every((condition) => condition.holds(identity)))) names.add(name);
  }
  return [...names].sort();
}

/** What `sshm policy test` prints: the decision, and for each rule whether it matched or why not. */
export interface Explanation {
  readonly decision: Decision;
  readonly rules: readonly {
    readonly rule: string;
    readonly deny: boolean;
    readonly matched: boolean;
    /** Every condition that failed, as a phrase. */
    readonly why: readonly string[];
  }[];
}

/** As {@link authorize}, with the reasons of every rule. */
export function explain(
  policy: Policy,
  identity: Identity,
  action: Action,
  resource: Resource,
  context: DecisionContext,
): Explanation {
  const question: Question = { identity, action, resource, context };
  return {
    decision: authorize(policy, identity, action, resource, context),
    rules: policy.rules.map((rule) => {
      const why = misses(rule, question);
      return { rule: rule.name, deny: rule.deny, matched: why.length === 0, why };
    }),
  };
}

const RESOURCE_KINDS = { node: "node", dial: "address", listen: "listener", none: "gateway" } as const;

function checkKind(action: Action, resource: Resource): void {
  const scope = action in rightTable ? rightTable[action as Right].scope : "none";
  if (resource.kind !== RESOURCE_KINDS[scope]) {
    throw new TypeError(`'${action}' is about a ${RESOURCE_KINDS[scope]}, not about a ${resource.kind}`);
  }
}

function allow(rule: string, reason: string, more?: Pick<Decision, "maxSession" | "as">): Decision {
  return { allowed: true, rule, reason, peerSentence: "", shared: false, nearMisses: [], ...more };
}

function refuse(
  rule: string,
  reason: string,
  peerSentence: string,
  nearMisses: readonly Miss[] = [],
): Decision {
  return { allowed: false, rule, reason, peerSentence, shared: false, nearMisses };
}

function byCredential({ identity, action, context }: Question): Decision | undefined {
  const { kind, expiresAt, restrictions } = identity;
  if (kind === "join") {
    const reason = "a join token enrols a key (join < key.pub) and does nothing else";
    return refuse(builtinRules.joinToken, reason, reason);
  }
  if (kind === "ssh-cert" && action === "cert") {
    const reason = "a certificate does not get another certificate; come with what it was got with";
    return refuse(builtinRules.certificate, reason, reason);
  }
  if (!context.open && expiresAt !== undefined && expiresAt <= context.now) {
    const reason = `the credential expired at ${new Date(expiresAt).toISOString()}`;
    return refuse(builtinRules.expired, reason, `${reason}; get a new one`);
  }
  if (!sourceAllowed(restrictions, context.sourceAddress)) {
    const where = context.sourceAddress ?? "an unknown address";
    const reason = `the credential may not be used from ${where}`;
    return refuse(builtinRules.source, reason, reason);
  }
  if (restrictions.portForwarding === false && forwardingRights.has(action)) {
    const reason = "the credential does not permit port forwarding";
    return refuse(builtinRules.restricted, reason, reason);
  }
}

function sourceAllowed({ sourceAddresses }: CredentialLimits, source: string | undefined): boolean {
  if (sourceAddresses === undefined) return true;
  if (source === undefined) return false;
  const ranges = sourceAddresses.flatMap((text) => {
    try {
      return [parseAddressRange(text)];
    } catch {
      // What cannot be understood as a range allows no address.
      return [];
    }
  });
  return sourceInRanges(ranges, source);
}

function byDeny(policy: Policy, question: Question): Decision | undefined {
  const rule = policy.rules.find((rule) => rule.deny && misses(rule, question).length === 0);
  return rule && refuse(rule.name, `the rule '${rule.name}' denies it`, notPermitted(question));
}

function byProtection({ identity, resource }: Question): Decision | undefined {
  if (resource.kind !== "address" || resource.via !== "gateway" || identity.owner) return;
  const address = parseIp(resource.address ?? "");
  if (address && !isSpecialAddress(address) && !resource.own) return;
  return refuse(
    builtinRules.special,
    address
      ? `${resource.address} leads back into the gateway's own machine or network; only owners get there`
      : "the gateway dials addresses only",
    PROHIBITED,
  );
}

function byDefault(policy: Policy, { identity, action, resource }: Question): Decision | undefined {
  if (resource.kind === "node" && action === "connect" && resource.published) {
    return allow(builtinRules.published, "the port is published");
  }
  if (identity.kind === "anonymous") return;
  if (identity.owner && ownerMay(policy, action, resource)) {
    return allow(builtinRules.owner, "the identity is an owner");
  }
  if (action === "cert" || !(action in rightTable)) {
    return allow(builtinRules.selfService, "everybody with a credential may");
  }
  const { issuer, fqdn } = identity;
  const isOwnName = resource.kind === "node" && fqdn !== undefined && resource.name === fqdn;
  if (issuer === ENROLLED_ISSUER && isOwnName && enrolledRights.has(action)) {
    return allow(builtinRules.enrolled, "the key was enrolled for this name");
  }
}

/** Owners may everything but share a name, which asks for a rule, and dial and listen within the flags. */
function ownerMay({ owners }: Policy, action: Action, resource: Resource): boolean {
  if (action === "shared") return false;
  if (resource.kind === "listener") return owners.listen.some((range) => portInRange(range, resource.port));
  // What a node dials is that node's business: it has an --allow-dial of its own.
  if (resource.kind !== "address" || resource.via !== "gateway") return true;
  const address = parseIp(resource.address ?? "");
  return address !== undefined &&
    owners.dial.some((range) => dialRangeCoversAddress(range, address, resource.port));
}

function byRules(policy: Policy, question: Question): Decision {
  const matching: CompiledRule[] = [];
  const nearMisses: Miss[] = [];
  for (const rule of policy.rules) {
    if (rule.deny) continue;
    const why = misses(rule, question);
    if (why.length === 0) matching.push(rule);
    else if (why.length === 1) nearMisses.push({ rule: rule.name, why });
  }
  if (matching.length === 0) {
    return refuse(
      builtinRules.defaultDeny,
      `no rule lets ${question.identity.name} ${describe(question)}`,
      notPermitted(question),
      nearMisses,
    );
  }
  const [{ name }] = matching;
  const limits = matching.map(({ maxSession }) => maxSession ?? Infinity);
  const longest = Math.max(...limits);
  const names = matching.some(({ as }) => as === undefined)
    ? undefined
    : [...new Set(matching.flatMap(({ as }) => as!))];
  return allow(name, `the rule '${name}' allows it`, {
    ...(longest < Infinity && { maxSession: longest }),
    ...(names && { as: names }),
  });
}

const PROHIBITED = "administratively prohibited";

function notPermitted({ action, resource }: Question): string {
  if (resource.kind === "address" || action === "connect") return PROHIBITED;
  return `you are not permitted to '${action}' ${resource.kind === "node" ? resource.name : "here"}; ` +
    "ask an owner of the gateway for a rule";
}

function describe({ action, resource, context }: Question): string {
  const login = context.login === undefined ? "" : ` as ${context.login}`;
  switch (resource.kind) {
    case "node":
      return `${action} ${resource.name}${resource.port === undefined ? "" : `:${resource.port}`}${login}`;
    case "address": {
      const via = resource.via === "gateway" ? "the gateway" : resource.via.name;
      return `dial ${resource.host ?? resource.address}:${resource.port} through ${via}`;
    }
    case "listener":
      return `listen on port ${resource.port}`;
    case "gateway":
      return `use '${action}'`;
  }
}
