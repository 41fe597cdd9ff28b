/**
 * Packet protection: one direction's cipher and MAC as the packet layer sees them.
 *
 * A packet in memory is `uint32 packet_length, byte padding_length, payload, padding` (RFC 4253 §6) followed by
 * {@link tagLength} bytes of tag. `packet_length` counts neither itself nor the tag. Everything happens in place.
 */
import type { Bytes } from "../../bytes/bytes.ts";

export interface Sealer {
  /** Padding makes the protected length a multiple of this: at least 8. */
  readonly blockSize: number;
  /** Whether the four bytes of packet_length count towards that multiple (not with AEAD and encrypt-then-MAC). */
  readonly lengthCounts: boolean;
  readonly tagLength: number;
  /**
   * Seals in place.
   * @param sequence number of this packet, uint32
   * @param packet from packet_length to the end of the tag's room
   */
  seal(sequence: number, packet: Bytes): void;
  free(): void;
}

export interface Opener {
  readonly blockSize: number;
  readonly lengthCounts: boolean;
  readonly tagLength: number;
  /** Bytes of a packet that must be there before {@link length} can be asked. */
  readonly headLength: number;
  /**
   * The packet_length at the start of `head`, which holds {@link headLength} bytes or more. Asked exactly once per
   * packet, before {@link open}: may decrypt the head in place. The value is not yet authenticated: check its bounds.
   */
  length(sequence: number, head: Bytes): number;
  /**
   * Checks the tag and decrypts in place. The padding length and payload are then at `packet[4…]`.
   * @param packet from packet_length to the end of the tag
   * @returns false when the tag is wrong; the content must then not be used
   */
  open(sequence: number, packet: Bytes): boolean;
  free(): void;
}
