/** Message authentication codes: RFC 6668, and OpenSSH's encrypt-then-MAC forms of them (PROTOCOL §1.5). */
import type { HashName } from "../../platform/crypto.ts";

/** One MAC, with its place before or after encryption. */
export interface Mac {
  readonly name: string;
  readonly hash: HashName;
  /** Bytes of key, and of tag. */
  readonly length: number;
  /** The tag is over the encrypted packet, with packet_length in clear. Otherwise over the plain one. */
  readonly encryptThenMac: boolean;
}

const rows: readonly Mac[] = [
  { name: "hmac-sha2-256-etm@openssh.com", hash: "sha256", length: 32, encryptThenMac: true },
  { name: "hmac-sha2-512-etm@openssh.com", hash: "sha512", length: 64, encryptThenMac: true },
  { name: "hmac-sha2-256", hash: "sha256", length: 32, encryptThenMac: false },
  { name: "hmac-sha2-512", hash: "sha512", length: 64, encryptThenMac: false },
];

/** Every MAC by its name, best first. */
export const macs: ReadonlyMap<string, Mac> = new Map(rows.map((row) => [row.name, row]));
