/** A number of places for connections, of which one address has a share. */
import { parseIp } from "../bytes/ip_address.ts";

/** A connection's place. Release it exactly once; more often does nothing. */
export interface Place {
  release(): void;
}

export class Places {
  readonly #total: number;
  readonly #perSource: number;
  readonly #bySource = new Map<string, number>();
  #taken = 0;

  /** @param limits at once: of everybody, and of one {@link sourceOf} */
  constructor({ total, perSource }: { readonly total: number; readonly perSource: number }) {
    this.#total = total;
    this.#perSource = perSource;
  }

  /** Places that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /** @returns a place, or whose there are too many of */
  take(address: string): Place | "everybody" | "source" {
    const source = sourceOf(address);
    const own = this.#bySource.get(source) ?? 0;
    if (this.#taken >= this.#total) return "everybody";
    if (own >= this.#perSource) return "source";
    this.#bySource.set(source, own + 1);
    this.#taken++;
    let released = false;
    return {
      release: () => {
        if (released) return;
        released = true;
        this.#taken--;
        const left = this.#bySource.get(source)! - 1;
        if (left > 0) this.#bySource.set(source, left);
        else this.#bySource.delete(source);
      },
    };
  }
}

/** What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber has. */
export function sourceOf(address: string): string {
  const ip = parseIp(address);
  if (!ip || ip.bits === 32) return ip?.toString() ?? address;
  return ip.bytes.slice(0, 8).join(".");
}
