import assert from "node:assert/strict";
import { type ConnectionLimits, limitsWithin } from "../../src/gateway/limits.ts";

const limits: ConnectionLimits = {
  maxClients: 4096,
  maxClientsPerIdentity: 2048,
  maxStartups: 512,
  maxStartupsPerSource: 256,
  penaltyExempt: [],
};

Deno.test("one identity and one address have a share of the connections, and all fit into the descriptors", () => {
  assert.deepEqual(limitsWithin(limits, Infinity), limits);
  for (const descriptors of [64, 1024, 20_000]) {
    const { maxClients, maxClientsPerIdentity, maxStartups, maxStartupsPerSource } = limitsWithin(
      limits,
      descriptors,
    );
    assert.ok(maxClients + maxStartups <= 0.75 * descriptors);
    assert.ok(maxClientsPerIdentity <= Math.ceil(maxClients / 2));
    assert.ok(maxStartupsPerSource <= Math.ceil(maxStartups / 2));
  }
});
