/** Bounds of the packet layer, and why they are what they are. */

/** packet_length of any packet; OpenSSH's own limit (PACKET_MAX_SIZE). */
export const MAX_PACKET_LENGTH = 256 * 1024;

/** packet_length before authentication: RFC 4253 §6.1 demands 35000; a stranger gets no more memory than needed. */
export const MAX_PACKET_LENGTH_BEFORE_AUTH = 64 * 1024;

/** To multiples of this packets are padded during authentication: they hold passwords. As OpenSSH pads those. */
export const AUTH_GRANULARITY = 64;

/** Receive buffer of a connection that says little: what every idle one holds. */
export const IDLE_BUFFER_SIZE = 2 * 1024;

/** Receive buffer of one that has just said more than that, and the largest before authentication: one packet. */
export const MEDIUM_BUFFER_SIZE = MAX_PACKET_LENGTH_BEFORE_AUTH + 4 * 1024;

/** Receive buffer of a busy connection: several packets in one system call, and one of any size. More is no faster. */
export const BUSY_BUFFER_SIZE = 288 * 1024;

/** Bytes of sealed packets waiting for the connection before channel data must wait. */
export const SEND_HIGH_WATER = 256 * 1024;

/**
 * Bytes waiting before this side also stops reading: only answers to a peer that asks and never reads get here,
 * channel data stops at {@link SEND_HIGH_WATER}.
 */
export const SEND_LIMIT = 2 * 1024 * 1024;

/** Bytes of messages held back during a key exchange before the connection is given up (CVE-2025-22869). */
export const MAX_HELD_DURING_KEX = 1024 * 1024;

/** How long a key exchange may take from KEXINIT to the peer's NEWKEYS. */
export const KEX_DEADLINE_MS = 60_000;

/**
 * Key exchanges that a stranger may ask for after the first, each of which costs a signature. Nobody needs one before
 * authentication.
 */
export const MAX_RENEWALS_BEFORE_AUTH = 4;

/** Bytes in either direction after which keys are renewed (RFC 4253 §9). */
export const REKEY_BYTES = 1024 * 1024 * 1024;

/** Time after which keys are renewed (RFC 4253 §9). */
export const REKEY_MS = 3600_000;

/** Packets in either direction after which keys are renewed: well before the 32-bit sequence wraps (RFC 4344 §3.1). */
export const REKEY_PACKETS = 2 ** 31;

/** Bytes of an identification line with CR LF (RFC 4253 §4.2). */
export const MAX_IDENTIFICATION_LINE = 255;

/** Bytes of the lines that a server may send before its identification. */
export const MAX_PREAMBLE = 8 * 1024;
