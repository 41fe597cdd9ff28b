/** What every registry must do, whatever it stores its leases in. */
import assert from "node:assert/strict";
import {
  type Claim,
  type Endpoint,
  type Holder,
  type Lease,
  type LeaseChange,
  PROBE_TIMEOUT,
  type Registry,
  RegistryError,
} from "../../src/routing/registry.ts";
import { TargetError } from "../../src/routing/target.ts";
import type { Duplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

export const LIFETIME = 60_000;

/** A connection to a node: answers probes, does not, or is known to be gone. */
class FakeHolder implements Holder {
  probes = 0;
  readonly evictions: { lease: Lease; why: string }[] = [];
  readonly opened: Endpoint[] = [];
  /** Holds back probes and opens until called, where set. */
  gate?: Promise<unknown>;

  constructor(readonly description: string, public state: "alive" | "silent" | "gone" = "alive") {}

  async probe(signal: AbortSignal): Promise<unknown> {
    this.probes++;
    await this.gate;
    if (this.state === "gone") throw new Error("connection reset");
    if (this.state === "alive") return true;
    return await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
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

const ann = { issuer: "key", subject: "SHA256:ann", name: "ann" };
const eve = { issuer: "key", subject: "SHA256:eve", name: "ann" };
const annElsewhere = { issuer: "https://other.example", subject: "SHA256:ann", name: "ann" };
const request = { origin: { hostname: "192.0.2.1", port: 1234 } };

function endpoint(port: number, more: Partial<Endpoint> = {}): Endpoint {
  return { port, published: false, asked: { address: "web", port }, ...more };
}

function claim(more: Partial<Claim> = {}): Claim {
  return { name: "web.localhost", endpoint: endpoint(22), owner: ann, shared: false, ...more };
}

/**
 * Declares the suite.
 * @param make a registry without leases, whose leases last {@link LIFETIME}; `maxLeasesPerOwner` as given
 */
export function registryContract(
  name: string,
  make: (clock: FakeClock, options?: { maxLeasesPerOwner?: number }) => Registry,
): void {
  const test = (
    title: string,
    body: (registry: Registry, clock: FakeClock) => Promise<void>,
    options?: { maxLeasesPerOwner?: number },
  ) =>
    Deno.test(`${name}: ${title}`, async () => {
      const clock = new FakeClock();
      const registry = make(clock, options);
      try {
        await body(registry, clock);
      } finally {
        await registry.close();
      }
      assert.equal(clock.pending, 0, "timers left");
    });

  const refuses = (promise: Promise<unknown>, code: RegistryError["code"]) =>
    assert.rejects(promise, (error: unknown) => error instanceof RegistryError && error.code === code);
  const holders = async (registry: Registry) => (await registry.list()).map(({ holder }) => holder).sort();

  test("a registered port resolves to its holder, others and other names to nothing", async (registry) => {
    const holder = new FakeHolder("a");
    const lease = await registry.register(claim(), holder);
    assert.deepEqual([lease.name, lease.owner, lease.holder], ["web.localhost", ann, "a"]);
    const [target, ...more] = await registry.resolve("web.localhost", 22);
    assert.equal(more.length, 0);
    const duplex = await target.open(request);
    assert.deepEqual(holder.opened, [endpoint(22)]);
    await duplex.readable.cancel();
    assert.deepEqual(await registry.resolve("web.localhost", 23), []);
    assert.deepEqual(await registry.resolve("other.localhost", 22), []);
  });

  test("one connection adds ports to its lease, and what was asked is kept to the letter", async (registry) => {
    const holder = new FakeHolder("a");
    const first = await registry.register(claim(), holder);
    const asked = { address: "WEB.localhost.", port: 80 };
    const second = await registry.register(
      claim({ endpoint: endpoint(80, { published: true, asked }) }),
      holder,
    );
    assert.equal(second.epoch, first.epoch);
    assert.deepEqual(second.endpoints.map(({ port }) => port), [22, 80]);
    const [target] = await registry.resolve("web.localhost", 80);
    assert.deepEqual([target.endpoint.asked, target.endpoint.published], [asked, true]);
    assert.equal(holder.probes, 0);
  });

  test("the same request twice is one endpoint", async (registry) => {
    const holder = new FakeHolder("a");
    await registry.register(claim({ endpoint: endpoint(80) }), holder);
    const lease = await registry.register(claim({ endpoint: endpoint(80, { published: true }) }), holder);
    assert.deepEqual(lease.endpoints, [endpoint(80, { published: true })]);
  });

  for (const state of ["alive", "silent", "gone"] as const) {
    test(`another identity is refused, be the holder ${state}, and nobody is probed`, async (registry) => {
      const holder = new FakeHolder("a", state);
      await registry.register(claim({ shared: true }), holder);
      for (const owner of [eve, annElsewhere]) {
        for (const instance of [undefined, "i"]) {
          const more = { owner, shared: true, ...(instance && { instance }) };
          await refuses(registry.register(claim(more), new FakeHolder("b")), "taken");
        }
      }
      assert.equal(holder.probes, 0);
      assert.deepEqual(await holders(registry), ["a"]);
    });
  }

  test("what another identity is told does not say who holds the name", async (registry) => {
    await registry.register(claim(), new FakeHolder("10.0.0.7:4000"));
    await assert.rejects(registry.register(claim({ owner: eve }), new FakeHolder("b")), (error: Error) => {
      return !/ann|10\.0\.0\.7|SHA256/.test(error.message);
    });
  });

  for (const state of ["alive", "silent", "gone"] as const) {
    test(`the same instance replaces its former connection at once, be it ${state}`, async (registry) => {
      const old = new FakeHolder("old", state);
      const former = await registry.register(claim({ instance: "i" }), old);
      const lease = await registry.register(claim({ instance: "i" }), new FakeHolder("new"));
      assert(lease.epoch > former.epoch);
      assert.equal(old.probes, 0);
      assert.equal(old.evictions.length, 1);
      assert.equal(old.evictions[0].lease.epoch, former.epoch);
      assert.deepEqual(await holders(registry), ["new"]);
    });
  }

  for (const [former, latter] of [["i", "j"], ["i", undefined], [undefined, "i"], [undefined, undefined]]) {
    const title = `${former ?? "no instance"} then ${latter ?? "no instance"}`;
    const instances = [former, latter].map((instance) => instance === undefined ? {} : { instance });

    test(`${title}: a holder that answers keeps the name`, async (registry) => {
      const old = new FakeHolder("old");
      await registry.register(claim(instances[0]), old);
      await refuses(registry.register(claim(instances[1]), new FakeHolder("new")), "held");
      assert.equal(old.probes, 1);
      assert.equal(old.evictions.length, 0);
      assert.deepEqual(await holders(registry), ["old"]);
    });

    test(`${title}: a holder known to be gone is replaced at once`, async (registry) => {
      const old = new FakeHolder("old", "gone");
      await registry.register(claim(instances[0]), old);
      await registry.register(claim(instances[1]), new FakeHolder("new"));
      assert.equal(old.evictions.length, 1);
      assert.deepEqual(await holders(registry), ["new"]);
    });

    test(
      `${title}: a half-open holder is replaced after two seconds, not before`,
      async (registry, clock) => {
        const old = new FakeHolder("old", "silent");
        await registry.register(claim(instances[0]), old);
        const pending = registry.register(claim(instances[1]), new FakeHolder("new"));
        await clock.advance(PROBE_TIMEOUT - 1);
        assert.deepEqual(await holders(registry), ["old"]);
        await clock.advance(1);
        await pending;
        assert.equal(old.evictions.length, 1);
        assert.deepEqual(await holders(registry), ["new"]);
      },
    );

    test(`${title}: with a rule that shares, both stand`, async (registry) => {
      await registry.register(claim({ ...instances[0], shared: true }), new FakeHolder("old"));
      await registry.register(claim({ ...instances[1], shared: true }), new FakeHolder("new"));
      assert.deepEqual(await holders(registry), ["new", "old"]);
      const targets = await registry.resolve("web.localhost", 22);
      assert.equal(new Set(targets.map(({ id }) => id)).size, 2);
    });
  }

  test("sharing replaces the dead among the holders and keeps the living", async (registry) => {
    const dead = new FakeHolder("dead");
    await registry.register(claim({ shared: true }), dead);
    await registry.register(claim({ shared: true }), new FakeHolder("living"));
    dead.state = "gone";
    await registry.register(claim({ shared: true }), new FakeHolder("new"));
    assert.deepEqual(await holders(registry), ["living", "new"]);
    assert.equal(dead.evictions.length, 1);
  });

  test("of several that share, the same instance replaces only its own former connection", async (registry) => {
    await registry.register(claim({ shared: true, instance: "i" }), new FakeHolder("i1"));
    await registry.register(claim({ shared: true, instance: "j" }), new FakeHolder("j1"));
    await registry.register(claim({ shared: true, instance: "i" }), new FakeHolder("i2"));
    assert.deepEqual(await holders(registry), ["i2", "j1"]);
  });

  test("targets of shared holders are those that have the port", async (registry) => {
    await registry.register(claim({ shared: true }), new FakeHolder("a"));
    await registry.register(claim({ shared: true, endpoint: endpoint(80) }), new FakeHolder("b"));
    const at = async (port: number) =>
      (await registry.resolve("web.localhost", port)).map(({ lease }) => lease.holder);
    assert.deepEqual([await at(22), await at(80)], [["a"], ["b"]]);
  });

  test("two clients with one key that both try for ever: the live holder keeps the name", async (registry) => {
    const holder = new FakeHolder("first");
    const lease = await registry.register(claim(), holder);
    for (let i = 0; i < 50; i++) await refuses(registry.register(claim(), new FakeHolder("second")), "held");
    assert.equal(holder.evictions.length, 0);
    assert.equal((await registry.list())[0].epoch, lease.epoch);
  });

  test("of many claims at once, one is granted", async (registry) => {
    const claimants = Array.from({ length: 20 }, (_, i) => new FakeHolder(`h${i}`));
    const results = await Promise.allSettled(claimants.map((holder) => registry.register(claim(), holder)));
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await registry.list()).length, 1);
  });

  test("of two identities at once, one gets the name", async (registry) => {
    const results = await Promise.allSettled(
      [ann, eve].map((owner) => registry.register(claim({ owner }), new FakeHolder(owner.subject))),
    );
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test(
    "claims on a half-open holder's name wait together: one is granted, and the holder evicted once",
    async (registry, clock) => {
      const old = new FakeHolder("old", "silent");
      await registry.register(claim(), old);
      const results = Promise.allSettled(
        [1, 2, 3].map((i) => registry.register(claim(), new FakeHolder(`new${i}`))),
      );
      await clock.advance(PROBE_TIMEOUT);
      const statuses = (await results).map(({ status }) => status);
      assert.deepEqual(statuses.filter((status) => status === "fulfilled").length, 1);
      assert.equal(old.evictions.length, 1);
    },
  );

  test(
    "a storm of claims on one name is bounded, and strangers do not fill the queue",
    async (registry, clock) => {
      const old = new FakeHolder("old", "silent");
      await registry.register(claim(), old);
      const storm = Promise.allSettled(
        Array.from({ length: 200 }, () => registry.register(claim({ owner: eve }), new FakeHolder("eve"))),
      );
      const own = registry.register(claim(), new FakeHolder("new"));
      await clock.advance(PROBE_TIMEOUT);
      await own;
      assert((await storm).every(({ status }) => status === "rejected"));
      const many = await Promise.allSettled(
        Array.from({ length: 200 }, () => registry.register(claim(), new FakeHolder("x"))),
      );
      const codes = many.map((result) =>
        result.status === "rejected" && (result.reason as RegistryError).code
      );
      assert(codes.includes("limit") && codes.includes("held"));
      assert.equal((await registry.list()).length, 1);
    },
  );

  test("a holder that leaves while it is probed frees the name for the claimant", async (registry) => {
    const old = new FakeHolder("old");
    const gate = Promise.withResolvers<void>();
    old.gate = gate.promise;
    const lease = await registry.register(claim(), old);
    const pending = registry.register(claim(), new FakeHolder("new"));
    await settle();
    assert.equal(await registry.release(lease), true);
    gate.resolve();
    await pending;
    assert.equal(old.evictions.length, 0);
    assert.deepEqual(await holders(registry), ["new"]);
  });

  test("a claimant that goes while it waits is granted nothing", async (registry, clock) => {
    const old = new FakeHolder("old", "silent");
    await registry.register(claim(), old);
    const controller = new AbortController();
    const pending = registry.register(claim(), new FakeHolder("new"), { signal: controller.signal });
    const refused = assert.rejects(pending, /went away/);
    controller.abort(new Error("went away"));
    await clock.advance(PROBE_TIMEOUT);
    await refused;
    assert.deepEqual((await holders(registry)).includes("new"), false);
  });

  test("an old epoch neither serves nor renews nor deletes", async (registry) => {
    const old = new FakeHolder("old");
    const former = await registry.register(claim({ instance: "i" }), old);
    const [stale] = await registry.resolve("web.localhost", 22);
    const lease = await registry.register(claim({ instance: "i" }), new FakeHolder("new"));
    await assert.rejects(
      stale.open(request),
      (error: unknown) => error instanceof TargetError && error.code === "fenced",
    );
    assert.equal(old.opened.length, 0);
    await refuses(registry.renew(former), "fenced");
    assert.equal(await registry.release(former), false);
    assert.equal(await registry.release(former, endpoint(22).asked), false);
    assert.equal((await registry.list("web.localhost"))[0].epoch, lease.epoch);
  });

  test("a connection opened by an epoch that ended meanwhile is not handed out", async (registry) => {
    const old = new FakeHolder("old");
    const lease = await registry.register(claim(), old);
    const gate = Promise.withResolvers<void>();
    old.gate = gate.promise;
    const [target] = await registry.resolve("web.localhost", 22);
    const opening = target.open(request);
    const refused = assert.rejects(
      opening,
      (error: unknown) => error instanceof TargetError && error.code === "fenced",
    );
    await registry.release(lease);
    gate.resolve();
    await refused;
  });

  test("epochs only grow, also over names and releases", async (registry) => {
    const epochs: number[] = [];
    for (let i = 0; i < 5; i++) {
      const lease = await registry.register(claim({ name: `n${i % 2}.localhost` }), new FakeHolder("a"));
      epochs.push(lease.epoch);
      await registry.release(lease);
    }
    assert.deepEqual(epochs, [...new Set(epochs)].sort((a, b) => a - b));
  });

  test("releasing one port leaves the others, the last one ends the lease, and a stranger may have the name", async (registry) => {
    const holder = new FakeHolder("a");
    await registry.register(claim(), holder);
    const lease = await registry.register(claim({ endpoint: endpoint(80) }), holder);
    assert.equal(await registry.release(lease, { address: "web", port: 8080 }), false);
    assert.equal(await registry.release(lease, { address: "web", port: 22 }), true);
    assert.deepEqual(await registry.resolve("web.localhost", 22), []);
    assert.equal((await registry.resolve("web.localhost", 80)).length, 1);
    assert.equal(await registry.release(lease, { address: "web", port: 80 }), true);
    assert.deepEqual(await registry.list(), []);
    await registry.register(claim({ owner: eve }), new FakeHolder("eve"));
    assert.equal(holder.evictions.length, 0);
  });

  test("a lease that is not renewed expires; then anybody may have the name", async (registry, clock) => {
    const holder = new FakeHolder("a");
    const lease = await registry.register(claim(), holder);
    const [stale] = await registry.resolve("web.localhost", 22);
    await clock.advance(LIFETIME - 1);
    assert.equal((await registry.resolve("web.localhost", 22)).length, 1);
    await clock.advance(1);
    assert.deepEqual(await registry.resolve("web.localhost", 22), []);
    await refuses(registry.renew(lease), "fenced");
    await assert.rejects(stale.open(request), TargetError);
    assert.equal(holder.evictions.length, 1);
    await registry.register(claim({ owner: eve }), new FakeHolder("eve"));
  });

  test("renewal makes a lease last", async (registry, clock) => {
    const lease = await registry.register(claim(), new FakeHolder("a"));
    for (let i = 0; i < 5; i++) {
      await clock.advance(LIFETIME - 1);
      assert.equal((await registry.renew(lease)).expiresAt, clock.now() + LIFETIME);
    }
    assert.equal((await registry.list()).length, 1);
  });

  test(
    "watchers see what happens, in order, expiry too, and stop when they say so",
    async (registry, clock) => {
      const changes: string[] = [];
      const stop = registry.watch(({ kind, lease }: LeaseChange) =>
        changes.push(`${kind} ${lease.holder}:${lease.endpoints.length}`)
      );
      const a = new FakeHolder("a");
      await registry.register(claim({ instance: "i" }), a);
      await registry.register(claim({ instance: "i", endpoint: endpoint(80) }), a);
      await registry.register(claim({ instance: "i" }), new FakeHolder("b"));
      await clock.advance(2 * LIFETIME);
      assert.deepEqual(changes, ["added a:1", "changed a:2", "removed a:2", "added b:1", "removed b:1"]);
      stop();
      await registry.register(claim(), a);
      assert.equal(changes.length, 5);
    },
  );

  test(
    "one identity holds a bounded number of names, and gets a place back with each release",
    async (registry) => {
      const lease = await registry.register(claim({ name: "a.localhost" }), new FakeHolder("a"));
      await registry.register(claim({ name: "b.localhost" }), new FakeHolder("b"));
      await refuses(registry.register(claim({ name: "c.localhost" }), new FakeHolder("c")), "limit");
      await registry.register(claim({ name: "c.localhost", owner: eve }), new FakeHolder("eve"));
      await registry.release(lease);
      await registry.register(claim({ name: "d.localhost" }), new FakeHolder("d"));
    },
    { maxLeasesPerOwner: 2 },
  );

  test("one lease has a bounded number of ports", async (registry) => {
    const holder = new FakeHolder("a");
    const register = (port: number) => registry.register(claim({ endpoint: endpoint(port) }), holder);
    for (let port = 1; port <= 256; port++) await register(port);
    await refuses(register(257), "limit");
    await register(256);
  });

  test("after close nothing is granted, and holders hear nothing", async (registry) => {
    const holder = new FakeHolder("a");
    await registry.register(claim(), holder);
    await registry.close();
    await refuses(registry.register(claim(), new FakeHolder("b")), "unavailable");
    assert.deepEqual(await registry.list(), []);
    assert.equal(holder.evictions.length, 0);
  });
}
