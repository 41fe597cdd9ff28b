/** SSH_MSG_KEXINIT (RFC 4253 §7.1). */
import { type Bytes, randomBytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { Proposal } from "../algorithms/negotiation.ts";
import { Msg } from "../wire/numbers.ts";

/** A proposal and the flag that a guessed packet follows. */
export interface KexInit extends Proposal {
  readonly firstKexPacketFollows: boolean;
}

/** The message with a fresh cookie. */
export function encodeKexInit(lists: Proposal): Bytes {
  return new Writer(1024)
    .byte(Msg.KEXINIT)
    .bytes(randomBytes(16))
    .nameList(lists.kex)
    .nameList(lists.hostKey)
    .nameList(lists.cipherClientToServer)
    .nameList(lists.cipherServerToClient)
    .nameList(lists.macClientToServer)
    .nameList(lists.macServerToClient)
    .nameList(lists.compressionClientToServer)
    .nameList(lists.compressionServerToClient)
    .nameList([]) // languages, client to server
    .nameList([]) // languages, server to client
    .boolean(false) // firstKexPacketFollows: this side does not guess
    .uint32(0)
    .finish();
}

/** @throws {MalformedError} */
export function parseKexInit(payload: Bytes): KexInit {
  const reader = new Reader(payload, 1 + 16);
  const lists = Array.from({ length: 10 }, () => reader.nameList());
  const firstKexPacketFollows = reader.boolean();
  reader.uint32();
  reader.end();
  const [kex, hostKey, cipherC, cipherS, macC, macS, compressionC, compressionS] = lists;
  return {
    kex,
    hostKey,
    cipherClientToServer: cipherC,
    cipherServerToClient: cipherS,
    macClientToServer: macC,
    macServerToClient: macS,
    compressionClientToServer: compressionC,
    compressionServerToClient: compressionS,
    firstKexPacketFollows,
  };
}
