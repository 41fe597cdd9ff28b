import assert from "node:assert/strict";
import { prometheusMetrics } from "../../src/deno/metrics.ts";
import { meshMetrics, noMetrics } from "../../src/telemetry/metrics.ts";

Deno.test("metrics are rendered in the text format of Prometheus", async () => {
  const metrics = prometheusMetrics();
  const mesh = meshMetrics(metrics);
  mesh.connections.add(2);
  mesh.connections.add(-1);
  mesh.leases.set(7);
  mesh.decisions.add(1, { action: "connect", outcome: "refused" });
  mesh.decisions.add(1, { action: "connect", outcome: "refused" });
  mesh.flowBytes.add(5000, { direction: "up" });
  mesh.flowSeconds.observe(0.5);
  const { contentType, body } = await metrics.render();
  assert.match(contentType, /^text\/plain; version=0\.0\.4/);
  const lines = body.split("\n");
  for (
    const line of [
      "# TYPE ssh_mesh_connections gauge",
      "ssh_mesh_connections 1",
      "ssh_mesh_leases 7",
      'ssh_mesh_decisions_total{action="connect",outcome="refused"} 2',
      'ssh_mesh_flow_bytes_total{direction="up"} 5000',
      'ssh_mesh_flow_duration_seconds_bucket{le="1"} 1',
      "ssh_mesh_flow_duration_seconds_count 1",
    ]
  ) assert(lines.includes(line), `${line}\nin\n${body}`);
});

Deno.test("two collections of metrics are apart", async () => {
  const [one, other] = [prometheusMetrics(), prometheusMetrics()];
  meshMetrics(one).leases.set(1);
  meshMetrics(other);
  assert.match((await other.render()).body, /^ssh_mesh_leases 0$/m);
});

Deno.test("without a collector everything is counted into nothing", async () => {
  const mesh = meshMetrics(noMetrics);
  mesh.leases.set(1);
  mesh.flowsEnded.add(1, { action: "connect", end: "ended" });
  mesh.flowSeconds.observe(1);
  assert.equal((await noMetrics.render()).body, "");
});
