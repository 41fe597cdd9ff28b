/** Pattern lists of OpenSSH (ssh_config(5), PATTERNS): `*.example.com,!bad.example.com`. */

/** What a list says: a pattern matched, a negated one matched (which wins), or none did. */
export type PatternVerdict = "match" | "negated" | "none";

/**
 * Whether `text` matches `pattern`, where `*` stands for any characters and `?` for one. Takes time proportional to
 * the product of both lengths at worst.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let next = 0;
  while (at < text.length) {
    if (next < pattern.length && pattern[next] === "*") {
      star = next++;
      resume = at;
    } else if (next < pattern.length && (pattern[next] === "?" || pattern[next] === text[at])) {
      at++;
      next++;
    } else if (star >= 0) {
      // Let the last star swallow one more character.
      next = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[next] === "*") next++;
  return next === pattern.length;
}

/**
 * What the comma-separated `list` says of `text`. A negated pattern that matches beats every other; a list of negated
 * ones alone matches nothing. Case counts: where it must not, give both in lower case.
 */
export function matchPatternList(text: string, list: string): PatternVerdict {
  let verdict: PatternVerdict = "none";
  for (const entry of list.split(",")) {
    const pattern = entry.trim();
    if (pattern.startsWith("!")) {
      if (matchesPattern(text, pattern.slice(1))) return "negated";
    } else if (pattern !== "" && matchesPattern(text, pattern)) {
      verdict = "match";
    }
  }
  return verdict;
}
