/** Who gets a name: the part of the contract that is about claims. */
import assert from "node:assert/strict";
import { PROBE_TIMEOUT, type RegistryError } from "../../src/routing/registry.ts";
import { settle } from "../support/fake_clock.ts";
import {
  ann,
  annElsewhere,
  claim,
  endpoint,
  eve,
  FakeHolder,
  holders,
  refuses,
  type RegistryTest,
  request,
} from "./registry_case.ts";

/** Declares what every registry must do with claims. */
export function declareClaims(test: RegistryTest): void {
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
}
