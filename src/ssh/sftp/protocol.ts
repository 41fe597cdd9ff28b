/** Numbers and names of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of OpenSSH's extensions to it. */

/** The only version spoken here; it is the one that OpenSSH and everyone who talks to it speak. */
export const SFTP_VERSION = 3;

/** Packet types of draft §3 that are no requests with fields of their own (those are in `request.ts`). */
export const PacketType = {
  init: 1,
  version: 2,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Status codes of draft §7. */
export const Status = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

/** Flags of SSH_FXP_OPEN, draft §6.3. */
export const OpenFlag = {
  read: 0x01,
  write: 0x02,
  append: 0x04,
  create: 0x08,
  truncate: 0x10,
  exclusive: 0x20,
} as const;

/**
 * Largest packet, in bytes after the length field, sent or received: OpenSSH's SFTP_MAX_MSG_LENGTH. Draft §3 asks for
 * 34000 at least.
 */
export const MAX_PACKET = 256 * 1024;

/** Most data in one READ or WRITE: OpenSSH leaves 1 KiB of the packet for header and handle. */
export const MAX_DATA = MAX_PACKET - 1024;

/** What a server that doesn't announce its limits can be asked for: every known one takes 32 KiB. */
export const PORTABLE_DATA = 32 * 1024;

/** Bits in the `flag` field of a statvfs reply. */
export const FileSystemFlag = { readOnly: 1 } as const;
