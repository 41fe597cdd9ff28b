/** A registry in the memory of one process. */
import type { Clock } from "../platform/clock.ts";
import {
  type Claim,
  type Endpoint,
  type Holder,
  type Lease,
  type LeaseChange,
  type LeaseRef,
  type LeaseTarget,
  PROBE_TIMEOUT,
  type Registry,
  RegistryError,
} from "./registry.ts";
import { discard, TargetError } from "./target.ts";

/** Claims that may wait for the decision on one name: more are a storm of one client's retries. */
const MAX_WAITING_CLAIMS = 64;
/** Endpoints of one lease: a node with more ports than this wants a mesh port. */
const MAX_ENDPOINTS = 256;
/** Leases of one identity: what a single stolen credential can fill memory with. */
const DEFAULT_MAX_LEASES_PER_OWNER = 4096;

export interface MemoryRegistryOptions {
  readonly clock: Clock;
  /** Milliseconds that a lease lasts without `renew`. */
  readonly lifetime: number;
  /** Default 4096. */
  readonly maxLeasesPerOwner?: number;
}

/** What stands in the table; `lease` is replaced as a whole when something changes. */
interface Entry {
  lease: Lease;
  /** As `lease.expiresAt`, on the monotonic clock: setting the time of day must not end every lease. */
  deadline: number;
  readonly holder: Holder;
}

/** Leases that end with the process. Epochs begin anew then: nobody else can hold one. */
export class MemoryRegistry implements Registry {
  readonly #options: MemoryRegistryOptions;
  /** By name: one entry, or several of one owner where shared. Never an empty array. */
  readonly #entries = new Map<string, Entry[]>();
  /** By name: the end of the queue of claims, and its length. */
  readonly #queues = new Map<string, { tail: Promise<unknown>; length: number }>();
  readonly #leasesByOwner = new Map<string, number>();
  readonly #listeners = new Set<(change: LeaseChange) => void>();
  #epoch = 0;
  #closed = false;
  #cancelSweep?: () => void;

  constructor(options: MemoryRegistryOptions) {
    this.#options = options;
  }

  async register(claim: Claim, holder: Holder, options: { signal?: AbortSignal } = {}): Promise<Lease> {
    // Asked before the queue too: strangers' claims must not fill it.
    this.#assertNotTaken(claim);
    return await this.#inTurn(claim.name, () => this.#decide(claim, holder, options.signal));
  }

  // deno-lint-ignore require-await -- what is thrown must be a rejection
  async renew(ref: LeaseRef): Promise<Lease> {
    this.#assertOpen();
    const entry = this.#current(ref);
    if (!entry) throw fenced(ref);
    this.#prolong(entry);
    return entry.lease;
  }

  // deno-lint-ignore require-await
  async release(ref: LeaseRef, asked?: Endpoint["asked"]): Promise<boolean> {
    const entry = this.#current(ref);
    if (!entry) return false;
    if (!asked) {
      this.#remove(entry);
      return true;
    }
    const endpoints = entry.lease.endpoints.filter((endpoint) => !sameAsked(endpoint.asked, asked));
    if (endpoints.length === entry.lease.endpoints.length) return false;
    if (endpoints.length === 0) this.#remove(entry);
    else this.#change(entry, { endpoints });
    return true;
  }

  // deno-lint-ignore require-await
  async resolve(name: string, port: number): Promise<LeaseTarget[]> {
    return this.#live(name).flatMap((entry) => {
      const endpoint = entry.lease.endpoints.findLast((endpoint) => endpoint.port === port);
      return endpoint ? [this.#target(entry, endpoint)] : [];
    });
  }

  // deno-lint-ignore require-await
  async list(name?: string): Promise<Lease[]> {
    const names = name === undefined ? [...this.#entries.keys()] : [name];
    return names.flatMap((name) => this.#live(name).map(({ lease }) => lease));
  }

  watch(listener: (change: LeaseChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#disarmSweep();
    this.#entries.clear();
    this.#leasesByOwner.clear();
    this.#listeners.clear();
    return Promise.resolve();
  }

  /** Runs `decide` when those before it for the same name are through. */
  async #inTurn<T>(name: string, decide: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(name) ?? { tail: Promise.resolve(), length: 0 };
    if (queue.length >= MAX_WAITING_CLAIMS) {
      throw new RegistryError("limit", "too many claims on this name at once");
    }
    this.#queues.set(name, queue);
    queue.length++;
    const turn = queue.tail.then(decide);
    queue.tail = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      if (--queue.length === 0) this.#queues.delete(name);
    }
  }

  async #decide(claim: Claim, holder: Holder, signal?: AbortSignal): Promise<Lease> {
    const check = () => {
      this.#assertOpen();
      signal?.throwIfAborted();
    };
    check();
    const own = this.#live(claim.name).find((entry) => entry.holder === holder && isOwner(entry, claim));
    if (own) return this.#addEndpoint(own, claim.endpoint);

    this.#assertNotTaken(claim);
    const former = this.#live(claim.name).find(({ lease }) =>
      claim.instance !== undefined && lease.instance === claim.instance
    );
    if (former) {
      this.#evict(former, "the same instance has registered anew");
      return this.#add(claim, holder);
    }

    const alive = await this.#probeAll(claim.name);
    check();
    // While the probes ran, leases may have ended; none can have been granted, for claims take turns.
    if (alive && !claim.shared) {
      throw new RegistryError(
        "held",
        "you already serve this name through another connection that is alive; end that one, or ask for a rule with 'shared'",
      );
    }
    return this.#add(claim, holder);
  }

  /** Probes every holder of a name at once, evicts those that do not answer; whether one is left. */
  async #probeAll(name: string): Promise<boolean> {
    await Promise.all(
      this.#live(name).map(async (entry) => {
        if (await this.#answers(entry.holder)) return;
        if (this.#current(entry.lease)) {
          this.#evict(entry, "it did not answer while its owner claimed the name anew");
        }
      }),
    );
    return this.#live(name).length > 0;
  }

  #answers(holder: Holder): Promise<boolean> {
    const limit = new AbortController();
    return new Promise((resolve) => {
      const settle = (answer: boolean) => {
        cancel();
        resolve(answer);
      };
      const cancel = this.#options.clock.after(PROBE_TIMEOUT, () => {
        resolve(false);
        limit.abort(new Error("the probe was not answered in time"));
      });
      // Within a promise's turn, so that a probe that throws at once is a probe that failed.
      Promise.resolve().then(() => holder.probe(limit.signal)).then(() => settle(true), () => settle(false));
    });
  }

  #assertNotTaken(claim: Claim): void {
    if (this.#live(claim.name).some((entry) => !isOwner(entry, claim))) {
      throw new RegistryError("taken", "this name is not yours to register");
    }
  }

  #add(claim: Claim, holder: Holder): Lease {
    const owner = ownerKey(claim);
    const { maxLeasesPerOwner = DEFAULT_MAX_LEASES_PER_OWNER } = this.#options;
    const held = this.#leasesByOwner.get(owner) ?? 0;
    if (held >= maxLeasesPerOwner) throw new RegistryError("limit", "you hold too many names");
    const { name, instance, endpoint, owner: { issuer, subject, name: ownerName } } = claim;
    const now = this.#options.clock.now();
    const lease: Lease = {
      name,
      epoch: ++this.#epoch,
      owner: { issuer, subject, name: ownerName },
      ...(instance !== undefined && { instance }),
      endpoints: [endpoint],
      holder: holder.description,
      since: now,
      expiresAt: now + this.#options.lifetime,
    };
    this.#leasesByOwner.set(owner, held + 1);
    const deadline = this.#options.clock.monotonic() + this.#options.lifetime;
    this.#entries.set(name, [...this.#entries.get(name) ?? [], { lease, deadline, holder }]);
    this.#armSweep();
    this.#tell("added", lease);
    return lease;
  }

  #addEndpoint(entry: Entry, endpoint: Endpoint): Lease {
    const others = entry.lease.endpoints.filter(({ asked }) => !sameAsked(asked, endpoint.asked));
    if (others.length >= MAX_ENDPOINTS) throw new RegistryError("limit", "too many ports on this name");
    this.#prolong(entry);
    this.#change(entry, { endpoints: [...others, endpoint] });
    return entry.lease;
  }

  #change(entry: Entry, change: Partial<Lease>): void {
    entry.lease = { ...entry.lease, ...change };
    this.#tell("changed", entry.lease);
  }

  #evict(entry: Entry, why: string): void {
    this.#remove(entry);
    entry.holder.evicted(entry.lease, why);
  }

  #remove(entry: Entry): void {
    const { lease } = entry;
    const others = (this.#entries.get(lease.name) ?? []).filter((other) => other !== entry);
    if (others.length > 0) this.#entries.set(lease.name, others);
    else this.#entries.delete(lease.name);
    const owner = ownerKey(lease);
    const held = this.#leasesByOwner.get(owner)! - 1;
    if (held > 0) this.#leasesByOwner.set(owner, held);
    else this.#leasesByOwner.delete(owner);
    if (this.#entries.size === 0) this.#disarmSweep();
    this.#tell("removed", lease);
  }

  #tell(kind: LeaseChange["kind"], lease: Lease): void {
    for (const listener of this.#listeners) listener({ kind, lease });
  }

  #target(entry: Entry, endpoint: Endpoint): LeaseTarget {
    const { lease, holder } = entry;
    return {
      id: `lease:${lease.name}#${lease.epoch}`,
      description: `${lease.name}:${endpoint.port} at ${lease.holder}`,
      lease,
      endpoint,
      open: async (request) => {
        const assertServes = () => {
          const endpoints = this.#current(lease)?.lease.endpoints ?? [];
          if (endpoints.some(({ asked }) => sameAsked(asked, endpoint.asked))) return;
          throw new TargetError("fenced", `${lease.name}:${endpoint.port} is no longer served from there`);
        };
        assertServes();
        const duplex = await holder.open(endpoint, request);
        try {
          assertServes();
        } catch (error) {
          discard(duplex);
          throw error;
        }
        return duplex;
      },
    };
  }

  /** The entry that a reference still names. */
  #current({ name, epoch }: LeaseRef): Entry | undefined {
    return this.#live(name).find(({ lease }) => lease.epoch === epoch);
  }

  /** Entries of a name that have not expired; those that have are evicted by this. */
  #live(name: string): readonly Entry[] {
    const entries = this.#entries.get(name);
    if (!entries) return [];
    const now = this.#options.clock.monotonic();
    const expired = entries.filter(({ deadline }) => deadline <= now);
    if (expired.length === 0) return entries;
    for (const entry of expired) this.#evict(entry, "the lease has expired");
    return this.#entries.get(name) ?? [];
  }

  #prolong(entry: Entry): void {
    const { clock, lifetime } = this.#options;
    entry.deadline = clock.monotonic() + lifetime;
    entry.lease = { ...entry.lease, expiresAt: clock.now() + lifetime };
  }

  /** Evicts the expired about when they expire, for those who watch; nobody is served by them before that. */
  #armSweep(): void {
    if (this.#cancelSweep || this.#closed) return;
    this.#cancelSweep = this.#options.clock.after(this.#options.lifetime / 2, () => {
      this.#cancelSweep = undefined;
      for (const name of [...this.#entries.keys()]) this.#live(name);
      if (this.#entries.size > 0) this.#armSweep();
    });
  }

  #disarmSweep(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #assertOpen(): void {
    if (this.#closed) throw new RegistryError("unavailable", "the gateway is shutting down");
  }
}

function fenced({ name, epoch }: LeaseRef): RegistryError {
  return new RegistryError("fenced", `epoch ${epoch} of ${name} is over`);
}

function isOwner(entry: Entry, claim: Claim): boolean {
  return ownerKey(entry.lease) === ownerKey(claim);
}

function ownerKey({ owner: { issuer, subject } }: { owner: { issuer: string; subject: string } }): string {
  return JSON.stringify([issuer, subject]);
}

function sameAsked(a: Endpoint["asked"], b: Endpoint["asked"]): boolean {
  return a.address === b.address && a.port === b.port;
}
