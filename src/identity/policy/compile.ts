/** From a policy document of the right structure to rules that can be decided by. */
import { type AddressRange, parseAddressRange } from "../../bytes/ip_range.ts";
import { type DialRange, parseDialRange, parseDuration, parsePortRange, type PortRange } from "../ranges.ts";
import { claimAt } from "../claim_path.ts";
import type { Identity } from "../principal.ts";
import { claimMatches, compileNamePattern, compileTextPattern, didYouMean, type Pattern } from "./match.ts";
import { type Right, rights, type RightScope, rightTable } from "./rights.ts";
import type { ConditionsDocument, PolicyDocument, RuleDocument } from "./schema.ts";

/** One condition on an identity. */
export interface Condition {
  /** As the document wrote it: `email: *@mycorp.com`. */
  readonly text: string;
  readonly holds: (identity: Identity) => boolean;
}

/** Alternatives, each a list of conditions that must all hold. */
export type Who = { readonly anyone: true } | {
  readonly anyone: false;
  readonly anyOf: readonly (readonly Condition[])[];
};

/** Groups of the policy: alternatives, each a list of conditions that must all hold. */
export type Groups = ReadonlyMap<string, readonly (readonly Condition[])[]>;

/** Names by pattern; `self` also when the name is the credential's own. */
export interface NamePatterns {
  readonly self: boolean;
  readonly patterns: readonly Pattern[];
  readonly text: string;
}

/** One rule, ready to be held against a question. A part that is absent limits nothing. */
export interface CompiledRule {
  readonly name: string;
  readonly deny: boolean;
  readonly who: Who;
  readonly may: ReadonlySet<Right>;
  readonly node?: NamePatterns;
  readonly ports?: readonly PortRange[];
  readonly dial?: readonly { readonly range: DialRange; readonly names?: Pattern }[];
  /** Who dials; `gateway` is a flag beside names. */
  readonly via?: NamePatterns & { readonly gateway: boolean };
  readonly listen?: readonly PortRange[];
  readonly as?: readonly string[];
  readonly from?: readonly AddressRange[];
  /** Milliseconds since 1970. */
  readonly until?: number;
  /** Milliseconds. */
  readonly maxSession?: number;
}

/** A mistake in a policy, and where in the document it is. */
export interface PolicyMistake {
  readonly path: readonly (string | number)[];
  /** The position names the key itself, not its value. */
  readonly atKey?: boolean;
  readonly message: string;
}

/** Compiles; what cannot be understood goes to `mistakes`, and then the result must not be used. */
export function compileRules(
  document: PolicyDocument,
  mistakes: PolicyMistake[],
): { readonly groups: Groups; readonly rules: CompiledRule[] } {
  const compiler = new Compiler(document, mistakes);
  return { rules: compiler.rules(), groups: compiler.groups };
}

type Path = readonly (string | number)[];

class Compiler {
  readonly #document: PolicyDocument;
  readonly #mistakes: PolicyMistake[];
  readonly #groups = new Map<string, readonly (readonly Condition[])[]>();

  constructor(document: PolicyDocument, mistakes: PolicyMistake[]) {
    this.#document = document;
    this.#mistakes = mistakes;
  }

  /** As far as they were read: complete after {@link rules}. */
  get groups(): Groups {
    return this.#groups;
  }

  rules(): CompiledRule[] {
    for (const [name, group] of Object.entries(this.#document.groups ?? {})) {
      this.#groups.set(name, this.#alternatives(group, ["groups", name]));
    }
    const names = new Set<string>();
    return (this.#document.rules ?? []).map((rule, index) => {
      const compiled = this.#rule(rule, index);
      if (names.has(compiled.name)) {
        this.#mistake(["rules", index, "name"], `a second rule is called '${compiled.name}'`);
      }
      names.add(compiled.name);
      return compiled;
    });
  }

  #rule(rule: RuleDocument, index: number): CompiledRule {
    const path: Path = ["rules", index];
    const name = rule.name ?? `rule ${index + 1}`;
    const deny = rule.deny ?? false;
    const may = new Set<Right>(rule.may === undefined ? deny ? rights : [] : list(rule.may));
    if (rule.shared) may.add("shared");
    if (may.size === 0) this.#mistake(path, `'may' is missing: name the rights that '${name}' gives`);
    if (rule.deny && rule.max_session !== undefined) {
      this.#mistake([...path, "max_session"], "means nothing in a rule that denies");
    }
    this.#checkScopes(rule, may, deny, name, path);
    const { what = {} } = rule;
    return {
      name,
      deny,
      may,
      who: typeof rule.who === "string"
        ? rule.who === "anyone" ? { anyone: true } : { anyone: false, anyOf: [[AUTHENTICATED]] }
        : { anyone: false, anyOf: this.#alternatives(rule.who, [...path, "who"]) },
      ...(what.node && { node: this.#names(what.node, [...path, "what", "node"]) }),
      ...(what.port !== undefined && { ports: this.#each(what.port, [...path, "what", "port"], readPorts) }),
      ...(what.dial && {
        dial: this.#each(what.dial, [...path, "what", "dial"], (text) => {
          const range = parseDialRange(text, { names: true });
          return { range, ...("names" in range.host && { names: compileNamePattern(range.host.names) }) };
        }),
      }),
      ...(what.via && {
        via: {
          ...this.#names(what.via, [...path, "what", "via"], "gateway"),
          gateway: list(what.via).includes("gateway"),
        },
      }),
      ...(what.listen !== undefined && {
        listen: this.#each(what.listen, [...path, "what", "listen"], readPorts),
      }),
      ...(rule.as && { as: list(rule.as) }),
      ...(rule.from && { from: this.#each(rule.from, [...path, "from"], parseAddressRange) }),
      ...(rule.until !== undefined && { until: this.#one(rule.until, [...path, "until"], readTime) }),
      ...(rule.max_session !== undefined && {
        maxSession: this.#one(rule.max_session, [...path, "max_session"], parseDuration),
      }),
    };
  }

  /** Every right must find in `what` what it is for, and every part of `what` a right. (A deny may stay general.) */
  #checkScopes(rule: RuleDocument, may: ReadonlySet<Right>, deny: boolean, name: string, path: Path): void {
    const used = new Map<RightScope, Right>();
    for (const right of may) {
      const { scope } = rightTable[right];
      if (!used.has(scope)) used.set(scope, right);
    }
    for (const [scope, right] of used) {
      if (scope === "none" || deny || rule.what?.[scope] !== undefined) continue;
      const at = rule.what ? [...path, "what"] : path;
      this.#mistake(at, `'${name}' gives '${right}' and does not say on what: add ${SCOPE_HINTS[scope]}`);
    }
    for (const part of Object.keys(rule.what ?? {}) as (keyof typeof PART_SCOPES)[]) {
      if (used.has(PART_SCOPES[part])) continue;
      this.#mistake(
        [...path, "what", part],
        `'${part}' means nothing here: '${name}' has no right that uses it`,
        true,
      );
    }
  }

  #alternatives(
    who: ConditionsDocument | readonly ConditionsDocument[],
    path: Path,
  ): readonly (readonly Condition[])[] {
    if (!Array.isArray(who)) return [this.#conditions(who as ConditionsDocument, path)];
    return who.map((one, i) => this.#conditions(one, [...path, i]));
  }

  #conditions(who: ConditionsDocument, path: Path): Condition[] {
    const conditions: Condition[] = [];
    const add = (text: string, holds: (identity: Identity) => boolean) => conditions.push({ text, holds });
    const texts = (key: "email" | "name") => {
      if (!who[key]) return;
      const patterns = list(who[key]).map((pattern) => compileTextPattern(pattern));
      add(`${key}: ${list(who[key]).join(", ")}`, (identity) => {
        const value = identity[key];
        return value !== undefined && patterns.some((matches) => matches(value));
      });
    };
    const exact = (
      key: string,
      values: string | string[] | undefined,
      of: (identity: Identity) => string | undefined,
    ) => {
      if (!values) return;
      const set = new Set(list(values));
      add(`${key}: ${list(values).join(", ")}`, (identity) => set.has(of(identity) ?? ""));
    };
    texts("email");
    texts("name");
    exact("issuer", who.issuer, (identity) => identity.issuer);
    exact("subject", who.subject, (identity) => identity.subject);
    exact("key", who.key, (identity) => identity.credential.fingerprint);
    exact(
      "trust_domain",
      who.trust_domain && list(who.trust_domain).map((name) => name.toLowerCase()),
      (identity) => identity.trustDomain,
    );
    exact("kind", who.kind, (identity) => identity.kind);
    for (const [claim, wanted] of Object.entries(who.claims ?? {})) {
      const patterns = list(wanted).map((value) =>
        compileTextPattern(String(value), { caseSensitive: true })
      );
      add(
        `claims.${claim}: ${list(wanted).join(", ")}`,
        ({ claims }) => {
          const value = claimAt(claims, claim);
          return value !== undefined && patterns.some((pattern) => claimMatches(value, pattern));
        },
      );
    }
    if (who.group) this.#group(list(who.group), [...path, "group"], add);
    if (conditions.length === 0) {
      this.#mistake(
        path,
        "is empty and would mean everybody: write 'authenticated' or 'anyone' where that is meant",
      );
    }
    return conditions;
  }

  #group(names: readonly string[], path: Path, add: (text: string, holds: Condition["holds"]) => void): void {
    for (const name of names) {
      if (this.#groups.has(name)) continue;
      const meant = didYouMean(name, [...this.#groups.keys()]);
      this.#mistake(
        path,
        `no group '${name}' is defined under 'groups'${meant ? `; did you mean '${meant}'?` : ""}`,
      );
    }
    add(`group: ${names.join(", ")}`, (identity) =>
      names.some((name) =>
        identity.groups.includes(name) ||
        this.#groups.get(name)?.some((all) => all.every((condition) => condition.holds(identity)))
      ));
  }

  /** @param flag a word beside names that stands for something else; it is left out of the patterns */
  #names(names: string | readonly string[], path: Path, flag?: string): NamePatterns {
    const patterns = this.#each(names, path, (name) => {
      return name === "self" || name === flag ? undefined : compileNamePattern(name);
    });
    return { self: list(names).includes("self"), patterns, text: list(names).join(", ") };
  }

  #each<T, R>(values: T | readonly T[], path: Path, read: (value: T) => R | undefined): R[] {
    return list(values).flatMap((value, i) => {
      const result = this.#one(value, Array.isArray(values) ? [...path, i] : path, read);
      return result === undefined ? [] : [result];
    });
  }

  #one<T, R>(value: T, path: Path, read: (value: T) => R): R | undefined {
    try {
      return read(value);
    } catch (error) {
      this.#mistake(path, error instanceof Error ? error.message : String(error));
    }
  }

  #mistake(path: Path, message: string, atKey = false): void {
    this.#mistakes.push({ path, message, atKey });
  }
}

const AUTHENTICATED: Condition = {
  text: "authenticated",
  holds: (identity) => identity.kind !== "anonymous",
};

const SCOPE_HINTS: Readonly<Record<RightScope, string>> = {
  node: 'what: { node: "NAME" } (or self, or "*" for every name)',
  dial: 'what: { dial: "10.0.0.0/8:5432" }',
  listen: "what: { listen: 8080 }",
  none: "nothing",
};

const PART_SCOPES = { node: "node", port: "node", dial: "dial", via: "dial", listen: "listen" } as const;

function list<T>(value: T | readonly T[]): T[] {
  return Array.isArray(value) ? [...value] : [value as T];
}

function readPorts(value: string | number): PortRange {
  return parsePortRange(String(value));
}

/** RFC 3339 with a time zone: a date alone would end at a different moment for every reader. */
function readTime(text: string): number {
  const isFull = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/.test(text);
  const time = isFull ? Date.parse(text.replace(" ", "T")) : NaN;
  if (Number.isNaN(time)) {
    throw new TypeError(`'${text}' is not a time with its zone: write 2027-01-31T00:00:00Z`);
  }
  return time;
}
