/** Whom a request is for: one spelling, checked against what TLS agreed on. */

/** A DNS name with its optional trailing dot, or an IPv4 address. */
const NAME =
  /^(?=.{1,254}$)[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)*\.?$/;

/** A host as a request names it. */
export interface RequestHost {
  /** Lower-case, without trailing dot or brackets. */
  readonly name: string;
  /** As it stands in a URL: `name`, in brackets when it is an IPv6 address, with the port when there is one. */
  readonly authority: string;
}

/**
 * Reads a Host header or the authority of a request's target. Undefined for anything but `name`, `name:port`, an IPv4
 * address or an IPv6 address in brackets: user names, white space, characters that are not ASCII, ports out of range.
 *
 * | text | name |
 * |---|---|
 * | `GW.Example:15022` | `gw.example` |
 * | `gw.example.` | `gw.example` |
 * | `ann@gw.example` | — |
 */
export function parseHost(text: string): RequestHost | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const [, ipv6, other, port] = match;
  if (port !== undefined && Number(port) > 65535) return undefined;
  const name = (ipv6 ?? other).toLowerCase();
  if (ipv6 === undefined && !NAME.test(name)) return undefined;
  const suffix = port === undefined ? "" : `:${Number(port)}`;
  if (ipv6 !== undefined) return { name, authority: `[${name}]${suffix}` };
  const plain = name.replace(/\.$/, "");
  return { name: plain, authority: `${plain}${suffix}` };
}

/** What TLS said about the server that the client wants, and what the server proved. */
export interface TlsNames {
  /** The server name that the client asked for (SNI), when it did. */
  readonly asked?: string;
  /** Whether the server's certificate is for `name`. */
  covers(name: string): boolean;
}

/**
 * The URL of a request: scheme `https`, host from the Host header. Undefined where Host is malformed or does not agree with
 * the target, the server name asked for in TLS, or the certificate: whoever connected meant somebody else (RFC 9110 §7.4,
 * §15.5.20).
 * @param target of the request line: `/path?query` or an absolute URL
 */
export function requestUrl(host: string | undefined, target: string, tls: TlsNames): URL | undefined {
  const wanted = parseHost(host ?? "");
  if (!wanted || !tls.covers(wanted.name)) return undefined;
  if (tls.asked !== undefined && parseHost(tls.asked)?.name !== wanted.name) return undefined;
  const path = pathOf(target, wanted.authority);
  const base = `https://${wanted.authority}`;
  if (path === undefined || !URL.canParse(base + path)) return undefined;
  const url = new URL(base + path);
  // What the URL parser makes of an odd address ("0x7f.1") must not become another host.
  return parseHost(url.host)?.name === wanted.name ? url : undefined;
}

function pathOf(target: string, authority: string): string | undefined {
  if (target.startsWith("/")) return target;
  const absolute = /^https:\/\/([^/?#]*)(.*)$/i.exec(target);
  if (!absolute || parseHost(absolute[1])?.authority !== authority) return undefined;
  return absolute[2].startsWith("/") ? absolute[2] : `/${absolute[2]}`;
}
