/** One case of the registry's contract: whom it has at hand, and how it is declared. */
import assert from "node:assert/strict";
import {
  type Claim,
  type Endpoint,
  type Holder,
  type Lease,
  type Registry,
  RegistryError,
} from "../../src/routing/registry.ts";
import type { Duplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import type { FakeClock } from "../support/fake_clock.ts";

/** Milliseconds that a lease of the registry under test lasts. */
export const LIFETIME = 60_000;

/** Declares one test over a registry without leases, and its clock. */
export type RegistryTest = (
  title: string,
  body: (registry: Registry, clock: FakeClock) => Promise<void>,
  options?: { maxLeasesPerOwner?: number },
) => void;

/** Asserts that the registry refuses with `code`. */
export const refuses = (promise: Promise<unknown>, code: RegistryError["code"]): Promise<void> =>
  assert.rejects(promise, (error: unknown) => error instanceof RegistryError && error.code === code);

/** Descriptions of all who hold a name, sorted. */
export const holders = async (registry: Registry): Promise<string[]> =>
  (await registry.list()).map(({ holder }) => holder).sort();

/** A connection to a node: answers probes, does not, or is known to be gone. */
export class FakeHolder implements Holder {
  probes = 0;
  readonly evictions: { lease: Lease; why: string }[] = [];
  readonly opened: Endpoint[] = [];
  /** Holds back probes and opens until called, where set. */
  gate?: Promise<unknown>;

  constructor(readonly description: string, public state: "alive" | "silent" | "gone" = "alive") {}

  async probe(): Promise<unknown> {
    this.probes++;
    await this.gate;
    if (this.state === "gone") throw new Error("connection reset");
    if (this.state === "alive") return true;
    // Not even an aborted signal has to be heeded.
    return await new Promise(() => {});
  }

  async open(endpoint: Endpoint): Promise<Duplex> {
    await this.gate;
    this.opened.push(endpoint);
    return duplexPair()[0];
  }

  evicted(lease: Lease, why: string): void {
    this.evictions.push({ lease, why });
  }
}

export const ann = { issuer: "key", subject: "SHA256:ann", name: "ann" };
export const eve = { issuer: "key", subject: "SHA256:eve", name: "ann" };
export const annElsewhere = { issuer: "https://other.example", subject: "SHA256:ann", name: "ann" };
export const request = { origin: { hostname: "192.0.2.1", port: 1234 } };

export function endpoint(port: number, more: Partial<Endpoint> = {}): Endpoint {
  return { port, published: false, asked: { address: "web", port }, ...more };
}

export function claim(more: Partial<Claim> = {}): Claim {
  return { name: "web.localhost", endpoint: endpoint(22), owner: ann, shared: false, ...more };
}
