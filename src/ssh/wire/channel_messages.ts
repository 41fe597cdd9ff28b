/** Messages of the connection protocol (RFC 4254 §§4–6), encoded. Channel numbers are the recipient's. */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { Writer } from "../../bytes/writer.ts";
import { Msg } from "./numbers.ts";

/** RFC 4254 §4 */
export function globalRequest(name: string, wantReply: boolean, data: Bytes = EMPTY): Bytes {
  return new Writer().byte(Msg.GLOBAL_REQUEST).string(name).boolean(wantReply).bytes(data).finish();
}

/** RFC 4254 §4 */
export function requestSuccess(data: Bytes = EMPTY): Bytes {
  return new Writer().byte(Msg.REQUEST_SUCCESS).bytes(data).finish();
}

/** RFC 4254 §4 */
export const REQUEST_FAILURE: Bytes = new Uint8Array([Msg.REQUEST_FAILURE]);

/** What both sides say about a channel when it opens. */
export interface ChannelParameters {
  /** The sender's number for the channel. */
  readonly sender: number;
  /** Bytes that the sender is ready to receive. */
  readonly window: number;
  /** Largest data string that the sender takes in one message. */
  readonly maxPacket: number;
}

/** RFC 4254 §5.1 */
export function channelOpen(type: string, own: ChannelParameters, data: Bytes): Bytes {
  return new Writer().byte(Msg.CHANNEL_OPEN).string(type)
    .uint32(own.sender).uint32(own.window).uint32(own.maxPacket).bytes(data).finish();
}

/** RFC 4254 §5.1 */
export function channelOpenConfirmation(recipient: number, own: ChannelParameters): Bytes {
  return new Writer(32).byte(Msg.CHANNEL_OPEN_CONFIRMATION)
    .uint32(recipient).uint32(own.sender).uint32(own.window).uint32(own.maxPacket).finish();
}

/** RFC 4254 §5.1 */
export function channelOpenFailure(recipient: number, reason: number, description: string): Bytes {
  return new Writer().byte(Msg.CHANNEL_OPEN_FAILURE)
    .uint32(recipient).uint32(reason).string(description).string("").finish();
}

/** RFC 4254 §5.2 */
export function channelWindowAdjust(recipient: number, bytes: number): Bytes {
  return new Writer(16).byte(Msg.CHANNEL_WINDOW_ADJUST).uint32(recipient).uint32(bytes).finish();
}

/** EOF, CLOSE, SUCCESS and FAILURE carry the recipient alone (RFC 4254 §§5.3, 5.4). */
export function channelSignal(
  number:
    | typeof Msg.CHANNEL_EOF
    | typeof Msg.CHANNEL_CLOSE
    | typeof Msg.CHANNEL_SUCCESS
    | typeof Msg.CHANNEL_FAILURE,
  recipient: number,
): Bytes {
  return new Writer(8).byte(number).uint32(recipient).finish();
}

/** RFC 4254 §5.4 */
export function channelRequest(recipient: number, type: string, wantReply: boolean, data: Bytes): Bytes {
  return new Writer().byte(Msg.CHANNEL_REQUEST).uint32(recipient).string(type).boolean(wantReply)
    .bytes(data).finish();
}
