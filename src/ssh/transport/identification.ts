/** The identification exchange (RFC 4253 §4.2). */
import { type Bytes, decodeText, encodeText } from "../../bytes/bytes.ts";
import { DisconnectReason, SshError } from "../error.ts";
import { MAX_IDENTIFICATION_LINE, MAX_PREAMBLE } from "./limits.ts";
import type { PacketStream } from "./packet_stream.ts";

/** Identification lines without CR LF, as the exchange hash takes them. */
export interface Identifications {
  readonly client: Bytes;
  readonly server: Bytes;
}

/** An SSH server that closes at once is rare; a port of something else is not. */
const ENDED = {
  client: "the peer closed before identifying itself: is an SSH server there?",
  server: "the peer closed before identifying itself",
} as const;

/**
 * Sends our line and waits for the peer's. A server may send other lines before; a client may not.
 * @param ours `SSH-2.0-…`
 * @returns the peer's line
 * @throws {SshError} for anything but SSH 2.0
 */
export async function exchangeIdentification(
  stream: PacketStream,
  role: "client" | "server",
  ours: string,
): Promise<Bytes> {
  stream.sendRaw(encodeText(`${ours}\r\n`));
  let preamble = 0;
  for (;;) {
    const line = await stream.line(role === "server" ? MAX_IDENTIFICATION_LINE : MAX_PREAMBLE, ENDED[role]);
    const text = decodeText(line);
    if (text.startsWith("SSH-")) {
      checkVersion(text, line);
      return line;
    }
    preamble += line.length + 2;
    if (role === "server" || preamble > MAX_PREAMBLE) {
      throw new SshError("protocol", "the peer does not speak SSH", {
        reason: DisconnectReason.protocolVersionNotSupported,
      });
    }
  }
}

function checkVersion(text: string, line: Bytes): void {
  // 1.99 announces a server that also speaks 2.0 (RFC 4253 §5.1).
  if (!/^SSH-(2\.0|1\.99)-[\x20-\x7e]+$/.test(text) || line.length > MAX_IDENTIFICATION_LINE - 2) {
    throw new SshError("protocol", "the peer speaks no version of SSH that this side does", {
      reason: DisconnectReason.protocolVersionNotSupported,
    });
  }
}
