/** SSH_MSG_EXT_INFO (RFC 8308) and what OpenSSH announces in it. */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { Msg } from "../wire/numbers.ts";

/** Extensions that this library knows. */
export interface ExtInfo {
  /** RFC 8308 §3.1 */
  readonly serverSignatureAlgorithms?: readonly string[];
  /** OpenSSH PROTOCOL §1.8: SSH2_MSG_PING is answered. */
  readonly ping: boolean;
  /** OpenSSH PROTOCOL §3.1 */
  readonly publicKeyHostbound: boolean;
}

/** No EXT_INFO yet. */
export const NO_EXTENSIONS: ExtInfo = { ping: false, publicKeyHostbound: false };

/** More extensions than anybody announces. */
const MAX_EXTENSIONS = 64;

/** What a server announces. @param signatureAlgorithms complete: a client takes it as all there is */
export function encodeServerExtInfo(signatureAlgorithms: readonly string[]): Bytes {
  return new Writer()
    .byte(Msg.EXT_INFO)
    .uint32(3)
    .string("server-sig-algs").nameList(signatureAlgorithms)
    .string("publickey-hostbound@openssh.com").string("0")
    .string("ping@openssh.com").string("0")
    .finish();
}

/** What a client announces. */
export function encodeClientExtInfo(): Bytes {
  return new Writer().byte(Msg.EXT_INFO).uint32(1).string("ping@openssh.com").string("0").finish();
}

/** Adds the announcements in `payload` to what was known `before`. @throws {MalformedError} */
export function parseExtInfo(payload: Bytes, before: ExtInfo): ExtInfo {
  const reader = new Reader(payload, 1);
  const count = reader.uint32();
  if (count > MAX_EXTENSIONS) throw new MalformedError(`${count} extensions`);
  let info = before;
  for (let i = 0; i < count; i++) {
    const name = reader.text();
    const value = reader.text();
    if (name === "server-sig-algs") info = { ...info, serverSignatureAlgorithms: value.split(",") };
    if (name === "ping@openssh.com" && value === "0") info = { ...info, ping: true };
    if (name === "publickey-hostbound@openssh.com" && value === "0") {
      info = { ...info, publicKeyHostbound: true };
    }
  }
  return info;
}
