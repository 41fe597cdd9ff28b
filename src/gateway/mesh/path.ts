/** Which way names and connections have come from gateway to gateway. */
import type { Lease, LeaseRef } from "../../routing/registry.ts";
import { MAX_HOPS } from "./messages.ts";

/**
 * Why a path must not be gone on, as a sentence; undefined when it may.
 * @param path gateways passed already
 * @param self the gateway that would be next
 */
export function pathFault(path: readonly string[], self: string): string | undefined {
  if (path.includes(self)) return "this leads back to a gateway that it came from";
  if (path.length >= MAX_HOPS) return `this passes more than ${MAX_HOPS} gateways`;
  return undefined;
}

/** Paths of leases that other gateways hold here. Leases of nodes themselves have none. */
export class LeasePaths {
  readonly #paths = new Map<string, readonly string[]>();

  set(lease: LeaseRef, path: readonly string[]): void {
    this.#paths.set(key(lease), path);
  }

  delete(lease: LeaseRef): void {
    this.#paths.delete(key(lease));
  }

  /** From here to the node: empty when it is connected here. */
  of(lease: LeaseRef | Lease): readonly string[] {
    return this.#paths.get(key(lease)) ?? [];
  }
}

function key({ name, epoch }: LeaseRef): string {
  return `${name}#${epoch}`;
}
