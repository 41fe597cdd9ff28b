/** Metrics by prom-client, which reads the process's own figures through `node:` modules. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Metrics } from "../telemetry/metrics.ts";

/** Metrics in a registry of their own. @param options.process also CPU, memory and event loop of this process */
export function prometheusMetrics(options: { process?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const common = <Label extends string>(
    metric: { name: string; help: string; labels?: readonly Label[] },
  ) => ({
    name: metric.name,
    help: metric.help,
    labelNames: [...metric.labels ?? []],
    registers: [registry],
  });
  return {
    counter(metric) {
      const counter = new Counter(common(metric));
      return { add: (count, labels) => labels ? counter.inc(labels, count) : counter.inc(count) };
    },
    gauge(metric) {
      const gauge = new Gauge(common(metric));
      return {
        set: (value, labels) => labels ? gauge.set(labels, value) : gauge.set(value),
        add: (count, labels) => labels ? gauge.inc(labels, count) : gauge.inc(count),
      };
    },
    histogram(metric) {
      const histogram = new Histogram({ ...common(metric), buckets: [...metric.buckets] });
      return {
        observe: (value, labels) => labels ? histogram.observe(labels, value) : histogram.observe(value),
      };
    },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
