/** Bounds of the connection layer, and why they are what they are. */

/** Largest data string taken in one message; what OpenSSH uses for TCP channels. */
export const MAX_PACKET = 32 * 1024;

/** What a channel may receive at first: a quick start without granting every idle channel a lot of memory. */
export const INITIAL_WINDOW = 256 * 1024;

/** What every channel is granted even when the connection's budget is spent. */
export const MIN_WINDOW = 64 * 1024;

/** A window stops growing here: 16 MiB fill 1 Gbit/s at a round trip of 130 ms. */
export const MAX_WINDOW = 16 * 1024 * 1024;

/** Sum of all windows of one connection: what a peer can make this side hold when nobody reads. */
export const WINDOW_BUDGET = 64 * 1024 * 1024;

/** Channels open at once on one connection. */
export const MAX_CHANNELS = 1024;

/** Requests of the peer, on one channel or global, that wait for their answer. */
export const MAX_PENDING_REQUESTS = 256;

/**
 * Bytes of data in the requests of one connection that wait for their answer. The largest that anybody sends, an
 * environment variable or terminal modes, has a few kilobytes.
 */
export const MAX_PENDING_REQUEST_BYTES = 1024 * 1024;

/** Windows are uint32; more is an overflow attack (RFC 4254 §5.2). */
export const MAX_UINT32 = 2 ** 32 - 1;
