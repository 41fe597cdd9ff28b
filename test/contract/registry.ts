/** What every registry must do, whatever it stores its leases in. */
import assert from "node:assert/strict";
import type { Registry } from "../../src/routing/registry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import type { RegistryTest } from "./registry_case.ts";
import { declareClaims } from "./registry_claims.ts";
import { declareLeases } from "./registry_leases.ts";

export { LIFETIME } from "./registry_case.ts";

/**
 * Declares the suite.
 * @param make a registry without leases, whose leases last {@link LIFETIME}; `maxLeasesPerOwner` as given
 */
export function registryContract(
  name: string,
  make: (clock: FakeClock, options?: { maxLeasesPerOwner?: number }) => Registry,
): void {
  const test: RegistryTest = (title, body, options) =>
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
  declareClaims(test);
  declareLeases(test);
}
