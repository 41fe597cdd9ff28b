/**
 * Which messages a peer may send, and when: an allow-list by state. Everything else ends the connection
 * (RFC 4253 §7.1, and what CVE-2018-10933, CVE-2023-46445, CVE-2023-48795 and CVE-2025-32433 teach).
 */
import { Msg } from "../wire/numbers.ts";

/** Where a connection stands. */
export type Phase =
  /** Before the first NEWKEYS. */
  | "initial"
  /** Keys are there, the peer is not yet authenticated. */
  | "auth"
  /** Authenticated. */
  | "connected";

/** What the peer owes in a key exchange, if one is under way on its side. */
export type PeerExchange =
  /** Nothing: it has not sent KEXINIT, or has finished. */
  | "none"
  /** Its key exchange message, which it has sent on a wrong guess: to be dropped whatever it is (RFC 4253 §7). */
  | "guess"
  /** Its key exchange message. */
  | "method"
  /** Its NEWKEYS. */
  | "newkeys";

/** Which end this is. */
export type Role = "client" | "server";

/** What to do with a message. */
export type Disposition = "handle" | "ignore" | "unimplemented" | "disconnect";

/** DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG. */
const generic = [Msg.DISCONNECT, Msg.IGNORE, Msg.UNIMPLEMENTED, Msg.DEBUG];

/** Numbers that end in a handler, by phase and by who receives them. */
const expected: Record<Phase, Record<Role, readonly number[]>> = {
  // A stranger must begin with KEXINIT; only the old clear-text noise may come before.
  initial: {
    server: [...generic, Msg.KEXINIT],
    client: [...generic, Msg.KEXINIT],
  },
  auth: {
    server: [
      ...generic,
      Msg.KEXINIT,
      Msg.SERVICE_REQUEST,
      Msg.EXT_INFO,
      Msg.USERAUTH_REQUEST,
      Msg.USERAUTH_INFO_RESPONSE,
      Msg.PING,
    ],
    client: [
      ...generic,
      Msg.KEXINIT,
      Msg.SERVICE_ACCEPT,
      Msg.EXT_INFO,
      Msg.USERAUTH_FAILURE,
      Msg.USERAUTH_SUCCESS,
      Msg.USERAUTH_BANNER,
      Msg.USERAUTH_PK_OK,
      Msg.PING,
      Msg.PONG,
    ],
  },
  connected: {
    server: [...generic, Msg.KEXINIT, ...connection(), Msg.PING, Msg.PONG],
    client: [...generic, Msg.KEXINIT, ...connection(), Msg.PING, Msg.PONG],
  },
};

function connection(): number[] {
  const { GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE } = Msg;
  const numbers = [GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE] as number[];
  for (let n: number = Msg.CHANNEL_OPEN; n <= Msg.CHANNEL_FAILURE; n++) numbers.push(n);
  return numbers;
}

/** The same as bit tables: looked up for every packet. */
const tables = Object.fromEntries(
  Object.entries(expected).map(([phase, roles]) => [
    phase,
    Object.fromEntries(
      Object.entries(roles).map(([role, numbers]) => {
        const table = new Uint8Array(256);
        for (const number of numbers) table[number] = 1;
        return [role, table];
      }),
    ),
  ]),
) as Record<Phase, Record<Role, Uint8Array>>;

/**
 * @param role ours
 * @param strict whether strict key exchange holds (OpenSSH PROTOCOL §1.10)
 */
export function dispositionOf(
  number: number,
  role: Role,
  phase: Phase,
  exchange: PeerExchange,
  strict: boolean,
): Disposition {
  if (exchange !== "none") return duringExchange(number, role, phase, exchange, strict);
  if (tables[phase][role][number]) return number === Msg.IGNORE || number === Msg.DEBUG ? "ignore" : "handle";
  if (phase !== "connected") return "disconnect";
  // Authentication requests after success are dropped without a word (RFC 4252 §5.3).
  if (number === Msg.USERAUTH_REQUEST && role === "server") return "ignore";
  // What belongs to another state is an attack; what nobody has heard of is an extension (RFC 4253 §11.4).
  return isAssigned(number) ? "disconnect" : "unimplemented";
}

/** Between the peer's KEXINIT and its NEWKEYS. */
function duringExchange(
  number: number,
  role: Role,
  phase: Phase,
  exchange: PeerExchange,
  strict: boolean,
): Disposition {
  const awaited = exchange === "newkeys"
    ? Msg.NEWKEYS
    : role === "server"
    ? Msg.KEX_ECDH_INIT
    : Msg.KEX_ECDH_REPLY;
  if (number === awaited || number === Msg.DISCONNECT) return "handle";
  // A guess at a method that is not ours has that method's numbers.
  if (exchange === "guess" && number >= 30 && number <= 49) return "handle";
  if (strict && phase === "initial") return "disconnect";
  if (number === Msg.IGNORE || number === Msg.DEBUG) return "ignore";
  return number === Msg.UNIMPLEMENTED ? "handle" : "disconnect";
}

function isAssigned(number: number): boolean {
  return number === 0 || number <= 7 || (number >= 20 && number <= 82) || (number >= 90 && number <= 100);
}
