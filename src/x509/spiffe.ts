/** SPIFFE IDs: names of workloads as URIs (the SPIFFE-ID specification), read strictly. */
import { X509Error } from "./error.ts";

/** Limits of the specification (SPIFFE-ID §2.3, and §2.1 for the trust domain). */
const MAX_ID_LENGTH = 2048;
const MAX_TRUST_DOMAIN_LENGTH = 255;

const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** A SPIFFE ID in its parts. */
export interface SpiffeId {
  /** Lower-case, never empty. */
  readonly trustDomain: string;
  /** Segments of the path, `["ns", "default", "sa", "web"]`. None: the ID of the trust domain itself. */
  readonly path: readonly string[];
}

/**
 * Reads a SPIFFE ID. Scheme and trust domain in lower case; no percent signs, port, user, query, fragment, empty, `.` or `..` segment and no slash at
 * the end. Two IDs are the same only if their texts are.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseSpiffeId } from "./spiffe.ts";
 * assert.equal(parseSpiffeId("spiffe://prod.example/ns/shop/sa/web").trustDomain, "prod.example");
 * assert.throws(() => parseSpiffeId("spiffe://prod.example/ns//web"));
 * ```
 * @throws {X509Error} `name`
 */
export function parseSpiffeId(text: string): SpiffeId {
  const refuse = (why: string) => new X509Error("name", `the SPIFFE ID ${why}`);
  if (text.length > MAX_ID_LENGTH) throw refuse(`is longer than ${MAX_ID_LENGTH} bytes`);
  const match = /^spiffe:\/\/([^/]*)(?:\/(.*))?$/s.exec(text);
  if (!match) throw refuse("does not begin with spiffe://");
  const [, trustDomain, rest] = match;
  if (trustDomain.length > MAX_TRUST_DOMAIN_LENGTH || !TRUST_DOMAIN.test(trustDomain)) {
    throw refuse("has a malformed trust domain");
  }
  const path = rest === undefined ? [] : rest.split("/");
  if (!path.every(isSegment)) throw refuse("has a malformed path");
  return { trustDomain, path };
}

function isSegment(segment: string): boolean {
  return SEGMENT.test(segment) && segment !== "." && segment !== "..";
}

/** The text of a SPIFFE ID. @throws {X509Error} `name` when its parts cannot be in one */
export function formatSpiffeId({ trustDomain, path }: SpiffeId): string {
  const text = ["spiffe:/", trustDomain, ...path].join("/");
  const read = parseSpiffeId(text);
  if (read.path.length !== path.length) throw new X509Error("name", "the SPIFFE ID has a malformed path");
  return text;
}

/** A Kubernetes service account, as Istio names it. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly account: string;
}

/** `spiffe://TD/ns/NS/sa/KSA` → NS and KSA; undefined for IDs of any other shape. */
export function serviceAccountOf({ path }: SpiffeId): ServiceAccount | undefined {
  const [ns, namespace, sa, account] = path;
  if (path.length !== 4 || ns !== "ns" || sa !== "sa") return undefined;
  return { namespace, account };
}

/** `spiffe://TD/ns/NS/sa/KSA`. @throws {X509Error} `name` */
export function serviceAccountId(trustDomain: string, { namespace, account }: ServiceAccount): string {
  return formatSpiffeId({ trustDomain, path: ["ns", namespace, "sa", account] });
}
