/** Reads policy files: YAML, of which JSON is a part. */
import { type Document, isMap, isNode, LineCounter, type Node, parseDocument, visit } from "yaml";
import type { z } from "zod";
import type { DialRange, PortRange } from "../ranges.ts";
import { type CompiledRule, compileRules, type Groups, type PolicyMistake } from "./compile.ts";
import { didYouMean } from "./match.ts";
import { knownKeys, policySchema } from "./schema.ts";

/** Largest policy that is read, in characters: some ten thousand rules. */
const MAX_POLICY_LENGTH = 4 * 1024 * 1024;
/** Levels of nesting: a policy has nine. The YAML library takes a minute over a million of them. */
const MAX_DEPTH = 32;
/** YAML aliases resolved at most: the billion-laughs document needs more. */
const MAX_ALIASES = 100;
/** Mistakes told of at most. */
const MAX_PROBLEMS = 50;

/** What owners may reach from, and open on, the gateway's own network: `--allow-dial`, `--allow-listen`. */
export interface OwnerLimits {
  readonly dial: readonly DialRange[];
  readonly listen: readonly PortRange[];
}

/** A policy that can be decided by. Immutable: replace it as a whole. */
export interface Policy {
  readonly rules: readonly CompiledRule[];
  readonly groups: Groups;
  readonly owners: OwnerLimits;
}

/** One mistake, for people. */
export interface PolicyProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  readonly message: string;
}

/** A policy that cannot be used. The message has one line per problem: `policy.yaml:3:7: …`. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  constructor(readonly file: string, readonly problems: readonly PolicyProblem[]) {
    super(problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`).join("\n"));
  }
}

/** No rule and no limit: the defaults alone. */
export const emptyPolicy: Policy = { rules: [], groups: new Map(), owners: { dial: [], listen: [] } };

/**
 * Reads a policy.
 * @param options.file what messages call it
 * @param options.owners the flags `--allow-dial` and `--allow-listen`; default nothing
 * @throws {PolicyError} with every mistake and its place
 */
export function parsePolicy(text: string, options: { file?: string; owners?: OwnerLimits } = {}): Policy {
  const { file = "policy", owners = emptyPolicy.owners } = options;
  if (text.length > MAX_POLICY_LENGTH) {
    throw new PolicyError(file, [{
      line: 1,
      column: 1,
      message: `is longer than ${MAX_POLICY_LENGTH} characters`,
    }]);
  }
  const deep = tooDeepAt(text);
  if (deep !== undefined) {
    const message = `is nested more than ${MAX_DEPTH} levels deep`;
    throw new PolicyError(file, [{ line: text.slice(0, deep).split("\n").length, column: 1, message }]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "silent",
    // Its own search compares every key with every other one.
    uniqueKeys: false,
  });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const fail = (problems: PolicyProblem[]): never => {
    problems.sort((a, b) => a.line - b.line || a.column - b.column);
    throw new PolicyError(file, problems.slice(0, MAX_PROBLEMS));
  };
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) fail(faults.map(({ pos, message }) => ({ ...at(pos[0]), message })));
  const twice = repeatedKeys(document);
  if (twice.length > 0) {
    fail(twice.map((offset) => ({ ...at(offset), message: "keys of a map must be unique" })));
  }

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  } catch (error) {
    fail([{ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) }]);
  }
  const mistakes: PolicyMistake[] = [];
  const parsed = policySchema.safeParse(value);
  let compiled: Pick<Policy, "rules" | "groups"> = emptyPolicy;
  if (parsed.success) compiled = compileRules(parsed.data, mistakes);
  else mistakes.push(...parsed.error.issues.flatMap((issue) => mistakesOf(issue, [], value)));
  if (mistakes.length > 0) {
    fail(mistakes.map((mistake) => ({
      ...at(offsetOf(document.contents, mistake)),
      message: `${pathText(mistake.path)}${mistake.message}`,
    })));
  }
  return { ...compiled, owners };
}

/** Strings and comments, which are passed over; brackets; what a line begins with. */
const NESTING = /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?:^|\s)#.*|[[\]{}]|^[ -]+/gm;

/** Where `text` is nested too deep, by brackets or by indentation: the offset. */
function tooDeepAt(text: string): number | undefined {
  let depth = 0;
  for (const { 0: found, index } of text.matchAll(NESTING)) {
    if (found === "[" || found === "{") depth++;
    else if (found === "]" || found === "}") depth = Math.max(0, depth - 1);
    // A level of indentation is a column at least, and two to four as people write it.
    if (depth > MAX_DEPTH || (/^[ -]+$/.test(found) && found.length > 4 * MAX_DEPTH)) return index;
  }
}

/** Offsets of keys that their map has already. */
function repeatedKeys(document: Document): number[] {
  const offsets: number[] = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<string>();
      for (const { key } of items) {
        const text = String(key);
        if (seen.has(text)) offsets.push((key as Node).range?.[0] ?? 0);
        seen.add(text);
      }
    },
  });
  return offsets;
}

/** Offset of the node at the mistake's path, or of the deepest one above it that the document has. */
function offsetOf(root: Node | null, { path, atKey }: PolicyMistake): number {
  let node: Node | null = root;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isNode(key) && String(key) === String(step));
      if (!pair) break;
      const useKey = (atKey && depth === path.length - 1) || !isNode(pair.value);
      node = isNode(pair.value) ? pair.value : null;
      offset = (useKey ? (pair.key as Node).range?.[0] : node?.range?.[0]) ?? offset;
    } else {
      const items: unknown = (node as { items?: unknown } | null)?.items;
      const item: unknown = Array.isArray(items) ? items[Number(step)] : undefined;
      if (!isNode(item)) break;
      node = item;
      offset = node.range?.[0] ?? offset;
    }
  }
  return offset;
}

/** `rules[2].what.node: ` */
function pathText(path: PolicyMistake["path"]): string {
  const text = path.map((step) => typeof step === "number" ? `[${step + 1}]` : `.${step}`).join("");
  return text && `${text.replace(/^\./, "")}: `;
}

type Issue = z.core.$ZodIssue;

/** One sentence per mistake out of the schema library's findings. */
function mistakesOf(issue: Issue, prefix: PolicyMistake["path"], root: unknown): PolicyMistake[] {
  const path = [...prefix, ...issue.path as (string | number)[]];
  const value = valueAt(root, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: [...path, key], atKey: true, message: unknownKey(key, path) }));
    case "invalid_union": {
      // The alternative that has the right outer shape knows what is wrong inside.
      const inner = value === undefined ? undefined : issue.errors.find((branch) =>
        branch.length > 0 &&
        branch.every((found) => found.path.length > 0 || found.code === "unrecognized_keys")
      );
      return inner?.flatMap((found) => mistakesOf(found, path, root)) ??
        [{ path, message: missing(value, issue) }];
    }
    case "invalid_value": {
      const values = issue.values.map(String);
      const meant = typeof value === "string" ? didYouMean(value, values) : undefined;
      const hint = meant ? `did you mean '${meant}'?` : `expected one of ${values.join(", ")}`;
      return [{ path, message: `'${String(value)}' is not known here; ${hint}` }];
    }
    case "invalid_key":
      return [{ path, atKey: true, message: issue.issues[0]?.message ?? issue.message }];
    default:
      return [{ path, message: missing(value, issue) }];
  }
}

function missing(value: unknown, issue: Issue): string {
  return value === undefined ? `is missing; it ${issue.message}` : issue.message;
}

function valueAt(root: unknown, path: PolicyMistake["path"]): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown> | undefined)?.[step],
    root,
  );
}

function unknownKey(key: string, path: PolicyMistake["path"]): string {
  const level = path.length === 0
    ? "top"
    : path[0] === "groups" || path.includes("who")
    ? "who"
    : path.includes("what")
    ? "what"
    : "rule";
  const meant = didYouMean(key, knownKeys[level]);
  return `is not a key that exists here; ${
    meant ? `did you mean '${meant}'?` : `possible are ${knownKeys[level].join(", ")}`
  }`;
}
