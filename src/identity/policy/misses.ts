/**
 * Why a rule does not match. What is not known (the peer's address, the login name, an address that a node will look up)
 * cannot satisfy a rule that allows, nor escape one that denies.
 */
import { parseIp } from "../../bytes/ip_address.ts";
import type { Identity } from "../principal.ts";
import { dialRangeCoversAddress, isSpecialAddress, portInRange, sourceInRanges } from "../ranges.ts";
import type { CompiledRule, NamePatterns } from "./compile.ts";
import type { AddressResource, Question, Resource } from "./resource.ts";
import { loginRights, type Right } from "./rights.ts";

/** The conditions of `rule` that fail, as phrases; none: it matches. */
export function misses(rule: CompiledRule, question: Question): string[] {
  const { identity, action, resource, context } = question;
  const why: string[] = [];
  if (!rule.may.has(action as Right)) why.push(`may: gives no '${action}'`);
  const who = whoMiss(rule, identity);
  if (who) why.push(who);
  const what = whatMiss(rule, identity, resource);
  if (what) why.push(what);
  if (rule.as && loginRights.has(action)) {
    if (context.login === undefined ? !rule.deny : !rule.as.includes(context.login)) {
      why.push(
        `as: ${
          context.login === undefined
            ? "no login name was given"
            : `'${context.login}' is not among ${rule.as.join(", ")}`
        }`,
      );
    }
  }
  if (rule.from) {
    const source = context.sourceAddress;
    if (source === undefined ? !rule.deny : !sourceInRanges(rule.from, source)) {
      why.push(
        `from: ${source ?? "an unknown address"} is not in ${rule.from.map(({ text }) => text).join(", ")}`,
      );
    }
  }
  if (!context.open && rule.until !== undefined && rule.until <= context.now) {
    why.push(`until: ended at ${new Date(rule.until).toISOString()}`);
  }
  return why;
}

/** Whether the rule is about `identity`. */
export function isMeant(rule: CompiledRule, identity: Identity): boolean {
  return whoMiss(rule, identity) === undefined;
}

function whoMiss({ who }: CompiledRule, identity: Identity): string | undefined {
  if (who.anyone) return;
  const failed = who.anyOf.map((all) => all.filter((condition) => !condition.holds(identity)));
  if (failed.some((conditions) => conditions.length === 0)) return;
  return `who: not ${
    failed.map((conditions) => conditions.map(({ text }) => text).join(" and not ")).join("; nor ")
  }`;
}

function whatMiss(rule: CompiledRule, identity: Identity, resource: Resource): string | undefined {
  switch (resource.kind) {
    case "node":
      // Only a rule that denies goes without names.
      if (rule.node && !namesMatch(rule.node, identity, resource)) {
        return `what: ${resource.name} is not ${rule.node.text}`;
      }
      if (
        rule.ports && resource.port !== undefined &&
        !rule.ports.some((range) => portInRange(range, resource.port!))
      ) {
        return `what: port ${resource.port} is not among the rule's`;
      }
      if (!rule.node && !rule.deny) return "what: names no node";
      return;
    case "listener":
      if (!rule.listen) return rule.deny ? undefined : "what: names no port to listen on";
      return rule.listen.some((range) => portInRange(range, resource.port))
        ? undefined
        : `what: port ${resource.port} is not among the rule's`;
    case "address":
      return addressMiss(rule, identity, resource);
    case "gateway":
      return;
  }
}

function addressMiss(rule: CompiledRule, identity: Identity, resource: AddressResource): string | undefined {
  const { via } = resource;
  if (rule.via) {
    const matches = via === "gateway" ? rule.via.gateway : namesMatch(rule.via, identity, via);
    if (!matches) return `what: ${via === "gateway" ? "the gateway" : via.name} is not the one that may dial`;
  }
  if (!rule.dial) return rule.deny ? undefined : "what: names no destination";
  const address = parseIp(resource.address ?? "");
  const covered = rule.dial.some(({ range, names }) =>
    names
      ? resource.host !== undefined && names(resource.host) && portInRange(range.ports, resource.port) &&
        (rule.deny || !address || !isSpecialAddress(address))
      : address === undefined
      ? rule.deny && portInRange(range.ports, resource.port)
      : dialRangeCoversAddress(range, address, resource.port, { special: rule.deny })
  );
  return covered
    ? undefined
    : `what: ${resource.host ?? resource.address}:${resource.port} is no destination of the rule`;
}

function namesMatch(
  names: NamePatterns,
  identity: Identity,
  node: { readonly name: string; readonly aliases?: readonly string[] },
): boolean {
  return [node.name, ...node.aliases ?? []].some((name) =>
    (names.self && name === identity.fqdn) || names.patterns.some((matches) => matches(name))
  );
}
