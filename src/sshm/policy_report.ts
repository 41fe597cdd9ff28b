/** What `policy test` answers, for people and for programs. */
import type { Explanation } from "../identity/policy/mod.ts";
import type { TestQuestion } from "./policy_question.ts";

/** A question and what the policy says to it. */
export interface Answer {
  readonly question: TestQuestion;
  readonly explanation: Explanation;
}

/** For `--json`: names in snake_case as everywhere in the product's JSON. */
export function answerJson({ question, explanation: { decision, rules } }: Answer): Record<string, unknown> {
  return {
    as: question.as,
    may: question.action,
    what: question.what,
    allowed: decision.allowed,
    rule: decision.rule,
    reason: decision.reason,
    max_session_seconds: decision.maxSession === undefined ? undefined : decision.maxSession / 1000,
    logins: decision.as,
    shared: decision.allowed && question.action === "register" ? decision.shared : undefined,
    told_to_peer: decision.allowed ? undefined : decision.peerSentence,
    rules: rules.map(({ rule, deny, matched, why }) => ({ rule, deny, matched, missed: why })),
  };
}

/** Lines for people: the decision first, then the rules that missed, nearest first. */
export function answerText({ question, explanation: { decision, rules } }: Answer): string[] {
  const { as, action, what } = question;
  const lines = [
    `${decision.allowed ? "allowed" : "denied"}: ${as} ${action}${what === undefined ? "" : ` ${what}`}`,
    `  rule: ${decision.rule}`,
    `  why: ${decision.reason}`,
  ];
  if (decision.maxSession !== undefined) lines.push(`  lasts at most: ${duration(decision.maxSession)}`);
  if (decision.as !== undefined) lines.push(`  logs in as: ${decision.as.join(", ")}`);
  if (decision.allowed && action === "register") {
    lines.push(`  shares the name: ${decision.shared ? "yes" : "no"}`);
  }
  const matched = rules.filter(({ rule, matched }) => matched && rule !== decision.rule);
  for (const { rule, deny } of matched) lines.push(`  also ${deny ? "denies" : "matches"}: ${rule}`);
  const missed = rules.filter(({ matched, deny }) => !matched && !deny)
    .sort((a, b) => a.why.length - b.why.length);
  if (missed.length > 0) lines.push("  rules that miss:");
  for (const { rule, why } of missed) lines.push(`    ${rule}: ${why.join("; ")}`);
  return lines;
}

const UNITS = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const;

/** Milliseconds as a policy writes them: `1h30m`. */
function duration(ms: number): string {
  let seconds = Math.floor(ms / 1000);
  let text = "";
  for (const [size, unit] of UNITS) {
    const count = Math.floor(seconds / size);
    if (count > 0) text += `${count}${unit}`;
    seconds -= count * size;
  }
  return text || "0s";
}
