/** DNS names, e-mail addresses and URIs as subject alternative names (RFC 5280 §4.2.1.6). */
import { isDnsName } from "../bytes/dns_name.ts";
import { X509Error } from "./error.ts";
import { EXTENSION, type Extension, SubjectAlternativeNameExtension } from "./library.ts";

/** Names of one certificate or request: more than this no gateway has leases for. */
const MAX_NAMES = 256;

/** Subject alternative names of the kinds that mean something here. */
export interface SubjectNames {
  readonly uris: readonly string[];
  /** Lower-case. May begin with `*.` */
  readonly dns: readonly string[];
  /** The domain in lower case. */
  readonly emails: readonly string[];
  readonly ips: readonly string[];
  /** Kinds of the other names: `dn`, `upn`, … */
  readonly others: readonly string[];
}

const UNDERSTOOD = ["url", "dns", "email", "ip"];
const NONE: SubjectNames = { uris: [], dns: [], emails: [], ips: [], others: [] };

/**
 * The subject alternative names among `extensions`.
 * @throws {X509Error} `malformed`, or `name` for a DNS name or e-mail address that cannot be one
 */
export function subjectNames(extensions: readonly Extension[]): SubjectNames {
  const found = extensions.filter(({ type }) => type === EXTENSION.subjectAltName);
  if (found.length === 0) return NONE;
  const [extension, second] = found;
  if (second || !(extension instanceof SubjectAlternativeNameExtension)) {
    throw new X509Error("malformed", "the subject alternative names are malformed");
  }
  const { items } = extension.names;
  if (items.length > MAX_NAMES) throw new X509Error("name", `there are more than ${MAX_NAMES} names`);
  const of = (type: string) => items.filter((item) => item.type === type).map(({ value }) => value);
  return {
    uris: of("url"),
    dns: of("dns").map(readDnsName),
    emails: of("email").map(readEmail),
    ips: of("ip"),
    others: items.map(({ type }) => type).filter((type) => !UNDERSTOOD.includes(type)),
  };
}

function readDnsName(text: string): string {
  const name = text.toLowerCase();
  if (!isDnsName(name.replace(/^\*\./, ""))) throw new X509Error("name", "a DNS name is malformed");
  return name;
}

function readEmail(text: string): string {
  const at = text.lastIndexOf("@") + 1;
  const address = text.slice(0, at) + text.slice(at).toLowerCase();
  if (!isEmailAddress(address)) throw new X509Error("name", "an e-mail address is malformed");
  return address;
}

/**
 * Whether `text` is an e-mail address as certificates have them (RFC 5280 §4.2.1.6), with its domain normalised: ASCII, without
 * comments. Quoted local parts are nobody's.
 */
export function isEmailAddress(text: string): boolean {
  const at = text.lastIndexOf("@");
  return at > 0 && /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$/.test(text.slice(0, at)) &&
    isDnsName(text.slice(at + 1));
}
