/**
 * Metrics: what a monitoring system may ask for. Rooms count on these interfaces; what collects and renders them is
 * chosen in `cmd/`. Labels have few values that are known in advance: never names, addresses or identities.
 */

/** A number that only grows. */
export interface Counter<Label extends string = never> {
  add(count: number, labels?: Readonly<Record<Label, string>>): void;
}

/** A number that goes up and down. */
export interface Gauge<Label extends string = never> {
  set(value: number, labels?: Readonly<Record<Label, string>>): void;
  add(count: number, labels?: Readonly<Record<Label, string>>): void;
}

/** How often values of each size occurred. */
export interface Histogram<Label extends string = never> {
  observe(value: number, labels?: Readonly<Record<Label, string>>): void;
}

/** What a metric is called and counts. */
export interface Metric<Label extends string> {
  /** `ssh_mesh_…`, with its unit, counters ending in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
}

/** Makes metrics; a name is made once. */
export interface Metrics {
  counter<Label extends string = never>(metric: Metric<Label>): Counter<Label>;
  gauge<Label extends string = never>(metric: Metric<Label>): Gauge<Label>;
  histogram<Label extends string = never>(
    metric: Metric<Label> & { readonly buckets: readonly number[] },
  ): Histogram<Label>;
  /** Everything in the text format of Prometheus. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Counts nothing. */
export const noMetrics: Metrics = {
  counter: () => ({ add() {} }),
  gauge: () => ({ set() {}, add() {} }),
  histogram: () => ({ observe() {} }),
  render: () => Promise.resolve({ contentType: "text/plain; version=0.0.4; charset=utf-8", body: "" }),
};

/** Seconds from a short request to a working day. */
const DURATIONS = [0.01, 0.1, 1, 10, 60, 600, 3600, 8 * 3600];

/** The gateway's metrics by name: one place for what dashboards rely on. */
export function meshMetrics(metrics: Metrics) {
  return {
    connections: metrics.gauge({
      name: "ssh_mesh_connections",
      help: "Connections to the gateway that are open.",
    }),
    authentications: metrics.counter({
      name: "ssh_mesh_authentications_total",
      help: "Attempts to prove an identity, by method and outcome.",
      labels: ["method", "outcome"],
    }),
    decisions: metrics.counter({
      name: "ssh_mesh_decisions_total",
      help: "Decisions of the policy, by right and outcome.",
      labels: ["action", "outcome"],
    }),
    leases: metrics.gauge({
      name: "ssh_mesh_leases",
      help: "Names that nodes serve here.",
    }),
    registrations: metrics.counter({
      name: "ssh_mesh_registrations_total",
      help: "Claims on names, by outcome: granted, taken, held, limit, refused.",
      labels: ["outcome"],
    }),
    flows: metrics.gauge({
      name: "ssh_mesh_flows",
      help: "Flows that are open.",
    }),
    flowsEnded: metrics.counter({
      name: "ssh_mesh_flows_ended_total",
      help: "Flows that ended, by action and end.",
      labels: ["action", "end"],
    }),
    flowBytes: metrics.counter({
      name: "ssh_mesh_flow_bytes_total",
      help: "Bytes of flows that ended, from who asked (up) and back (down).",
      labels: ["direction"],
    }),
    flowSeconds: metrics.histogram({
      name: "ssh_mesh_flow_duration_seconds",
      help: "How long flows lasted.",
      buckets: DURATIONS,
    }),
  };
}

export type MeshMetrics = ReturnType<typeof meshMetrics>;
