/** Nodes that dial on for others: what they offered, and which of them reaches an address. */
import { parseIp } from "../bytes/ip_address.ts";
import { type DialRange, dialRangeCoversAddress } from "../identity/ranges.ts";
import type { OpenRequest } from "../routing/target.ts";
import type { Duplex } from "../streams/duplex.ts";
import type { Identity } from "../identity/principal.ts";

/** A node with `--allow-dial`. */
export interface Dialer {
  readonly identity: Identity;
  /** Names that it serves now, full. None: it has no name to be judged by and dials for nobody. */
  names(): readonly string[];
  readonly description: string;
  /** Opens `direct-tcpip` to the node: it dials, within what it allows itself. @throws {TargetError} */
  dial(address: { readonly hostname: string; readonly port: number }, request: OpenRequest): Promise<Duplex>;
}

export class Dialers {
  readonly #offers = new Map<Dialer, readonly DialRange[]>();

  /** Replaces what the dialer offered before. */
  offer(dialer: Dialer, ranges: readonly DialRange[]): void {
    if (ranges.length > 0) this.#offers.set(dialer, ranges);
    else this.#offers.delete(dialer);
  }

  withdraw(dialer: Dialer): void {
    this.#offers.delete(dialer);
  }

  /** Who offers to dial `address`, the narrowest offer first. */
  covering(address: string, port: number): Dialer[] {
    const ip = parseIp(address);
    if (!ip) return [];
    const found = [...this.#offers].flatMap(([dialer, ranges]) => {
      const prefixes = ranges
        .filter((range) => dialRangeCoversAddress(range, ip, port))
        .map(({ host }) => "addresses" in host ? host.addresses.prefix : 0);
      return prefixes.length > 0 ? [{ dialer, prefix: Math.max(...prefixes) }] : [];
    });
    return found.sort((a, b) => b.prefix - a.prefix).map(({ dialer }) => dialer);
  }
}
