/** What may stand in a certificate as a principal. Pure. */
import { parseIp } from "../bytes/ip_address.ts";
import { printable } from "../bytes/printable.ts";
import { GROUP_PREFIX, NAME_PREFIX, normalizeDomain } from "../identity/names.ts";
import type { Identity } from "../identity/principal.ts";
import { CaError } from "./types.ts";

/** Principals of one certificate: OpenSSH takes no more. */
const MAX_PRINCIPALS = 256;
/** Characters of one: longer than any e-mail address or DNS name. */
const MAX_LENGTH = 320;

/**
 * Why `text` is no principal, or undefined when it is one. Verifiers split at commas and white space, and match wildcards
 * (`*`, `?`, `!`): what could mean more than itself to any of them is refused.
 */
export function principalFault(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (text.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  if (!text.isWellFormed() || /[\p{C}\p{Z}\s]/u.test(text)) {
    return "white space or a control character is in it";
  }
  const bad = /[,*?!"'\\]/.exec(text);
  return bad ? `'${bad[0]}' is in it` : undefined;
}

/** Who is certified. */
export type Certified = Pick<Identity, "kind" | "name" | "fqdn" | "groups">;

/**
 * The principals of a user certificate: the identity's name ({@link principalOf}), what the profile adds, and `group:NAME`
 * for each group.
 * @throws {CaError} `refused`
 */
export function userPrincipals(bearer: Certified, further: readonly string[]): string[] {
  const { groups } = bearer;
  if (groups.includes("")) throw new CaError("refused", "a group without a name cannot be certified");
  const all = [...new Set([principalOf(bearer), ...further, ...groups.map((group) => GROUP_PREFIX + group)])];
  for (const principal of all) {
    const fault = principalFault(principal);
    if (fault) throw new CaError("refused", `'${printable(principal)}' cannot be certified: ${fault}`);
  }
  if (all.length > MAX_PRINCIPALS) {
    throw new CaError("refused", `more than ${MAX_PRINCIPALS} names and groups`);
  }
  return all;
}

/**
 * A name as a principal. A stock sshd that trusts the authority opens the account that is called as a principal is, so what
 * an issuer calls somebody must never be an account's name: `root` becomes `name:root`. As they are stay names with a
 * letter that no account has (`@`, `/`, `:`), and full names that the credential itself proves.
 */
function principalOf({ kind, name, fqdn }: Pick<Certified, "kind" | "name" | "fqdn">): string {
  const prefix = [GROUP_PREFIX, NAME_PREFIX].find((prefix) => name.toLowerCase().startsWith(prefix));
  if (prefix !== undefined) {
    throw new CaError(
      "refused",
      `the name '${printable(name)}' would read as '${prefix}' and something else`,
    );
  }
  if (kind !== "key" && /^(SHA256|MD5):/i.test(name)) {
    throw new CaError("refused", `the name '${printable(name)}' would read as somebody's key`);
  }
  const isFullName = fqdn !== undefined && name.includes(".");
  return name === "" || /[@/:]/.test(name) || isFullName ? name : NAME_PREFIX + name;
}

/**
 * The principals of a host certificate, each once.
 * @param own.domain the gateway's domain, which nobody else may prove to be; `own.gateway`: the gateway asks
 * @throws {CaError} `refused`
 */
export function hostPrincipals(
  names: readonly string[],
  own: { readonly domain: string; readonly gateway: boolean },
): string[] {
  if (names.length === 0) throw new CaError("refused", "there is no name to certify: register one first");
  const all = [...new Set(names)];
  if (all.length > MAX_PRINCIPALS) throw new CaError("refused", `more than ${MAX_PRINCIPALS} names`);
  for (const name of all) {
    const fault = hostFault(name, own);
    if (fault) throw new CaError("refused", `'${printable(name)}' cannot be certified: ${fault}`);
  }
  return all;
}

function hostFault(
  name: string,
  { domain, gateway }: { readonly domain: string; readonly gateway: boolean },
): string | undefined {
  if (parseIp(name)) return "it is an IP address";
  if (normalizeDomain(name) !== name) return "it is no DNS name in its normal spelling";
  if (name === domain) return gateway ? undefined : "it is the gateway's own name";
  if (name === "localhost") return "it means every machine";
  return name.includes(".") ? undefined : "it is no full name";
}
