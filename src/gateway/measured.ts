/** Flows and leases, with what metrics and log tell of them. */
import type { Clock } from "../platform/clock.ts";
import { MemoryRegistry } from "../routing/memory.ts";
import { Flows } from "../telemetry/flow.ts";
import { logger } from "../telemetry/log.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";

/** A lease lasts this long without a sign of life, in milliseconds: five keepalives. */
const LEASE_LIFETIME = 60_000;

/** @param write takes the JSON line of a flow that has ended. Must not throw */
export function measuredFlows(clock: Clock, metrics: MeshMetrics, write: (line: string) => void): Flows {
  const log = logger("gateway");
  return new Flows({
    clock,
    write,
    onStart: () => metrics.flows.add(1),
    onEnd: ({ action, end, up, down, duration_ms, who, target, id }) => {
      const facts = { who: who.name, action, target, end, up, down, ms: duration_ms, id };
      log.info("flow of {who} to {target}: {end}", facts);
      metrics.flows.add(-1);
      metrics.flowsEnded.add(1, { action, end });
      metrics.flowBytes.add(up, { direction: "up" });
      metrics.flowBytes.add(down, { direction: "down" });
      metrics.flowSeconds.observe(duration_ms / 1000);
    },
  });
}

export function measuredRegistry(clock: Clock, metrics: MeshMetrics): MemoryRegistry {
  const registry = new MemoryRegistry({ clock, lifetime: LEASE_LIFETIME });
  registry.watch(({ kind }) => {
    if (kind !== "changed") metrics.leases.add(kind === "added" ? 1 : -1);
  });
  return registry;
}
