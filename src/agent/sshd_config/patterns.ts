/** Patterns of names and addresses (PATTERNS in ssh_config(5)). */
import ipaddr from "ipaddr.js";

/** What a list says: `excluded` by a negated entry, which always counts more than `matched`. */
export type Verdict = "matched" | "unmatched" | "excluded";

/** Whether `text` matches `pattern`, with `*` for anything and `?` for one character. In linear memory and no recursion. */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let p = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = at;
    } else if (pattern[p] === "?" || pattern[p] === text[at]) {
      p++;
      at++;
    } else if (star >= 0) {
      p = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** Judges by the entries of a comma-separated list, of which `!` negates one. */
function judge(list: string, matches: (pattern: string) => boolean): Verdict {
  let verdict: Verdict = "unmatched";
  for (const entry of list.split(",")) {
    const negated = entry.startsWith("!");
    if (!matches(negated ? entry.slice(1) : entry)) continue;
    if (negated) return "excluded";
    verdict = "matched";
  }
  return verdict;
}

/** Judges a name. */
export function matchList(text: string, list: string): Verdict {
  return judge(list, (pattern) => matchesPattern(text, pattern));
}

/** Judges a host name, without regard to case. */
export function matchHostList(host: string, list: string): Verdict {
  return matchList(host.toLowerCase(), list.toLowerCase());
}

/** Judges somebody's groups: one excluded group excludes. */
export function matchAnyOfList(texts: readonly string[], list: string): Verdict {
  const verdicts = texts.map((text) => matchList(text, list));
  return verdicts.includes("excluded") ? "excluded" : verdicts.includes("matched") ? "matched" : "unmatched";
}

/** Judges an IP address by patterns and by CIDR ranges. @throws {TypeError} for a range that is none */
export function matchAddressList(address: string, list: string): Verdict {
  const parsed = ipaddr.isValid(address) ? ipaddr.process(address) : undefined;
  return judge(list, (pattern) => {
    const range = parseRange(pattern);
    if (range !== undefined) {
      return parsed !== undefined && parsed.kind() === range[0].kind() && parsed.match(range);
    }
    return matchesPattern(address.toLowerCase(), pattern.toLowerCase());
  });
}

/** Throws `TypeError` when an entry of `list` is a CIDR range that is none. */
export function checkAddressList(list: string): void {
  for (const entry of list.split(",")) parseRange(entry.replace(/^!/, ""));
}

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** An address or a range; undefined for a pattern or a name. */
function parseRange(text: string): Range | undefined {
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  if (!isAddress(host)) {
    if (slash >= 0) throw new TypeError(`'${text}' is not an address range`);
    return undefined;
  }
  const address = ipaddr.parse(host);
  const bytes = address.toByteArray();
  const digits = slash < 0 ? `${bytes.length * 8}` : text.slice(slash + 1);
  const length = Number(digits);
  if (!/^\d{1,3}$/.test(digits) || length > bytes.length * 8) {
    throw new TypeError(`'${text}' has a mask that is too long`);
  }
  const hostBits = bytes.some((byte, i) => byte & (0xff >> Math.min(8, Math.max(0, length - 8 * i))));
  if (hostBits) throw new TypeError(`'${text}' has bits set beyond its mask`);
  return [address, length];
}

/** Only the usual notations: what one program reads as a name and another as an address is how a check is passed by. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(":") && ipaddr.IPv6.isValid(text));
}

/**
 * Whether a login matches one entry of Allow- or DenyUsers: `USER` or `USER@HOST`, where HOST is a list of host
 * patterns, addresses and ranges.
 */
export function matchesUser(
  login: { readonly user: string; readonly host: string; readonly address: string },
  entry: string,
): boolean {
  const at = entry.lastIndexOf("@");
  if (at < 0) return matchesPattern(login.user, entry);
  if (!matchesPattern(login.user, entry.slice(0, at))) return false;
  const hosts = entry.slice(at + 1);
  const verdicts = [matchAddressList(login.address, hosts), matchHostList(login.host, hosts)];
  return !verdicts.includes("excluded") && verdicts.includes("matched");
}
