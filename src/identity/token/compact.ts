/** JSON Web Signatures in compact serialisation (RFC 7515 §7.1), read before anything is believed. Pure. */
import { decodeTextStrictly } from "../../bytes/bytes.ts";
import { decodeBase64Url, encodeBase64Url } from "../../bytes/encoding.ts";
import { printable } from "../../bytes/printable.ts";
import { TokenError } from "./types.ts";

/** Longest token that is looked at, in characters: those of Entra and GitHub have some 2000, with many groups 8000. */
export const MAX_TOKEN_LENGTH = 16 * 1024;

/** A claims set or header: an object of JSON. */
export type Claims = Readonly<Record<string, unknown>>;

/** A token in its parts. Nothing is verified. */
export interface ParsedToken {
  readonly alg: string;
  readonly kid?: string;
  readonly claims: Claims;
}

/** `typ` of tokens that tell who somebody is; absent is one too. `at+jwt`: RFC 9068. */
const TYPES = ["jwt", "at+jwt"];

/** Claims that make a token something else than a credential of its bearer. */
const OTHER_PURPOSES: readonly (readonly [claim: string, why: string])[] = [
  ["cnf", "it is bound to a key (RFC 7800), and a token alone does not prove that key"],
  ["events", "it tells of a security event (RFC 8417), such as a logout"],
];

/** @throws {TokenError} `malformed`, without any of the text in its message */
export function parseToken(token: string): ParsedToken {
  if (token.length > MAX_TOKEN_LENGTH) {
    throw malformed(`the token is longer than ${MAX_TOKEN_LENGTH} characters`);
  }
  const parts = token.split(".");
  if (parts.length === 5) throw malformed("the token is encrypted (JWE), and only signed ones are accepted");
  if (parts.length !== 3) throw malformed("this is no token: it needs three parts with dots between them");
  const [header, claims] = [parts[0], parts[1]].map(decodeObject);
  // The other parts are signed as they are spelt; two spellings of one signature would be two tokens (RFC 4648 §3.5).
  if (encodeBase64Url(decodePart(parts[2])) !== parts[2]) {
    throw malformed("the token's signature is not canonical base64url");
  }
  checkHeader(header);
  for (const [claim, why] of OTHER_PURPOSES) {
    if (Object.hasOwn(claims, claim)) throw malformed(`the token has the claim '${claim}': ${why}`);
  }
  const { alg, kid } = header as { alg: string; kid?: string };
  return { alg, claims, ...(kid !== undefined && { kid }) };
}

/** RFC 7515 §4.1, RFC 8725 §3. Keys and addresses of keys in the header (`jwk`, `jku`, `x5u`, `x5c`) are never looked at. */
function checkHeader(header: Claims): void {
  const { alg, kid, typ, cty } = header;
  if (Object.hasOwn(header, "crit")) throw malformed("the token has critical header fields");
  if (Object.hasOwn(header, "enc") || cty !== undefined) {
    throw malformed("the token holds another token, or is encrypted");
  }
  if (typeof alg !== "string" || alg.length > 32) throw malformed("the token does not name its algorithm");
  if (kid !== undefined && (typeof kid !== "string" || kid.length > 512)) {
    throw malformed("the token's 'kid' is not a text of usual length");
  }
  const type = typeof typ === "string" ? typ.toLowerCase().replace(/^application\//, "") : typ;
  if (type !== undefined && !TYPES.includes(type as string)) {
    throw malformed(`the token is of the type '${printable(String(typ), 64)}', not JWT`);
  }
}

function decodeObject(part: string): Claims {
  let value: unknown;
  try {
    value = JSON.parse(decodeTextStrictly(decodePart(part)));
  } catch {
    // The cause's message would quote the text.
    throw malformed("a part of the token is not JSON in base64url");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed("a part of the token is not a JSON object");
  }
  return value as Claims;
}

/** Bytes of base64url without padding or spaces. */
function decodePart(part: string): Uint8Array {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) throw malformed("a part of the token is not base64url");
  try {
    return decodeBase64Url(part);
  } catch {
    throw malformed("a part of the token is not base64url");
  }
}

function malformed(message: string): TokenError {
  return new TokenError("malformed", message);
}
