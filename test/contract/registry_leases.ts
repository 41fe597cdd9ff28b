/** What was granted, until it ends: the part of the contract that is about leases. */
import assert from "node:assert/strict";
import type { LeaseChange } from "../../src/routing/registry.ts";
import { TargetError } from "../../src/routing/target.ts";
import {
  claim,
  endpoint,
  eve,
  FakeHolder,
  LIFETIME,
  refuses,
  type RegistryTest,
  request,
} from "./registry_case.ts";

/** Declares what every registry must do with leases. */
export function declareLeases(test: RegistryTest): void {
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
