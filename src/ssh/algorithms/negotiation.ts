/** Which algorithms both sides use: RFC 4253 §7.1. */
import { printable } from "../../bytes/printable.ts";
import { DisconnectReason, SshError } from "../error.ts";
import { ciphers } from "./ciphers.ts";
import type { AlgorithmLists } from "./lists.ts";

/** The name-lists of a KEXINIT. */
export interface Proposal {
  readonly kex: readonly string[];
  readonly hostKey: readonly string[];
  readonly cipherClientToServer: readonly string[];
  readonly cipherServerToClient: readonly string[];
  readonly macClientToServer: readonly string[];
  readonly macServerToClient: readonly string[];
  readonly compressionClientToServer: readonly string[];
  readonly compressionServerToClient: readonly string[];
}

/** What one direction uses. */
export interface NegotiatedDirection {
  readonly cipher: string;
  /** Undefined where the cipher is AEAD. */
  readonly mac: string | undefined;
  readonly compression: string;
}

/** What both sides agreed on (RFC 4253 §7.1). */
export interface Negotiated {
  readonly kex: string;
  readonly hostKey: string;
  readonly clientToServer: NegotiatedDirection;
  readonly serverToClient: NegotiatedDirection;
  /**
   * Whether a key exchange packet that was sent on a guess counts (RFC 4253 §7): both sides prefer the same method and
   * the same host key algorithm. Otherwise a guessed packet is to be ignored.
   */
  readonly guessIsRight: boolean;
}

/** Names in the list of key exchange methods that are none: announcements (RFC 8308 §2.1, OpenSSH PROTOCOL §1.10). */
export const KexMarker = {
  extInfoClient: "ext-info-c",
  extInfoServer: "ext-info-s",
  strictClient: "kex-strict-c-v00@openssh.com",
  strictServer: "kex-strict-s-v00@openssh.com",
} as const;

const markers: ReadonlySet<string> = new Set(Object.values(KexMarker));

/** One side's lists as it proposes them, the same in both directions. @param kexMarkers put after the methods */
export function propose(lists: AlgorithmLists, ...kexMarkers: string[]): Proposal {
  return {
    kex: [...lists.kex, ...kexMarkers],
    hostKey: lists.hostKey,
    cipherClientToServer: lists.cipher,
    cipherServerToClient: lists.cipher,
    macClientToServer: lists.mac,
    macServerToClient: lists.mac,
    compressionClientToServer: lists.compression,
    compressionServerToClient: lists.compression,
  };
}

/**
 * Chooses of each list the client's first name that the server has too.
 * @throws {SshError} `negotiation` when there is none, with both lists
 */
export function negotiate(client: Proposal, server: Proposal): Negotiated {
  const clientKex = client.kex.filter((name) => !markers.has(name));
  const serverKex = server.kex.filter((name) => !markers.has(name));
  return {
    kex: choose("key exchange method", clientKex, serverKex),
    hostKey: choose("host key algorithm", client.hostKey, server.hostKey),
    clientToServer: direction(
      "client to server",
      choose("cipher client to server", client.cipherClientToServer, server.cipherClientToServer),
      [client.macClientToServer, server.macClientToServer],
      [client.compressionClientToServer, server.compressionClientToServer],
    ),
    serverToClient: direction(
      "server to client",
      choose("cipher server to client", client.cipherServerToClient, server.cipherServerToClient),
      [client.macServerToClient, server.macServerToClient],
      [client.compressionServerToClient, server.compressionServerToClient],
    ),
    guessIsRight: clientKex[0] === serverKex[0] && client.hostKey[0] === server.hostKey[0],
  };
}

/** The client's list, the server's list. */
type Lists = readonly [readonly string[], readonly string[]];

function direction(which: string, cipher: string, mac: Lists, compression: Lists): NegotiatedDirection {
  return {
    cipher,
    mac: ciphers.get(cipher)?.aead ? undefined : choose(`MAC ${which}`, ...mac),
    compression: choose(`compression ${which}`, ...compression),
  };
}

function choose(what: string, client: readonly string[], server: readonly string[]): string {
  const chosen = client.find((name) => server.includes(name));
  if (chosen !== undefined) return chosen;
  const offers = `the client offers ${show(client)}; the server ${show(server)}`;
  throw new SshError("negotiation", `no common ${what}: ${offers}`, {
    reason: DisconnectReason.keyExchangeFailed,
  });
}

function show(names: readonly string[]): string {
  return names.length === 0 ? "nothing" : printable(names.join(","));
}
