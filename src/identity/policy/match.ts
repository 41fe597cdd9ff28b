/** Conditions of a policy, compiled to predicates. */
import { toAsciiName } from "../../bytes/dns_name.ts";

/** Whether a value meets a pattern. */
export type Pattern = (value: string) => boolean;

/**
 * A pattern for e-mail addresses, names and claims: `*` stands for any characters but `@`. Upper and lower case are
 * the same unless `caseSensitive`.
 */
export function compileTextPattern(pattern: string, options: { caseSensitive?: boolean } = {}): Pattern {
  const expression = new RegExp(`^${globToExpression(pattern, "[^@]*")}$`, options.caseSensitive ? "" : "i");
  return (value) => expression.test(value);
}

/**
 * A pattern for DNS names. `*` alone is every name; a leading `*.` stands for one or more labels; elsewhere `*` stays
 * within its label, so that `web-*` gives `web-7` and never `web-7.prod.mycorp.com`.
 * @throws {TypeError} with a sentence when it cannot match any name
 */
export function compileNamePattern(pattern: string): Pattern {
  if (pattern === "*") return () => true;
  const labels = pattern.replace(/\.$/, "").split(".").map(asciiLabel);
  const anyDepth = labels.length > 1 && labels[0] === "*";
  const bad = labels.find((label) => !/^[a-z0-9*]([a-z0-9*-]{0,61}[a-z0-9*])?$/.test(label));
  if (bad !== undefined) throw new TypeError(`'${pattern}' is not a DNS name or a pattern for one`);
  const expressions = labels.map((label) => globToExpression(label, "[^.]*"));
  if (anyDepth) expressions[0] = "[^.]+(?:\\.[^.]+)*";
  const expression = new RegExp(`^${expressions.join("\\.")}$`);
  return (value) => expression.test(value);
}

function asciiLabel(label: string): string {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(label) ? label.toLowerCase() : toAsciiName(label) ?? "";
}

/** A glob as the inside of a regular expression; runs of `*` count as one, or matching would take its time. */
function globToExpression(glob: string, star: string): string {
  return glob.split(/\*+/).map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join(star);
}

/** Whether a claim's value, or one of its values, meets `pattern`. */
export function claimMatches(claim: unknown, pattern: Pattern): boolean {
  if (Array.isArray(claim)) return claim.some((value) => claimMatches(value, pattern));
  return ["string", "number", "boolean"].includes(typeof claim) && pattern(String(claim));
}

/**
 * The word of `words` that somebody may have meant by `typed`: at most two slips away, and closer than that for short
 * ones.
 */
export function didYouMean(typed: string, words: readonly string[]): string | undefined {
  const limit = typed.length <= 4 ? 1 : 2;
  let best: { word: string; distance: number } | undefined;
  for (const word of words) {
    const distance = slips(typed.toLowerCase(), word);
    if (distance <= limit && (!best || distance < best.distance)) best = { word, distance };
  }
  return best?.word;
}

/** Letters inserted, left out, replaced or swapped with their neighbour between `a` and `b`. */
function slips(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
      }
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
