import assert from "node:assert/strict";
import { type FlowRecord, Flows, type FlowStart } from "../../src/telemetry/flow.ts";
import { relay } from "../../src/streams/relay.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { FakeClock } from "../support/fake_clock.ts";

const start: FlowStart = {
  who: {
    kind: "key",
    issuer: "key",
    subject: "SHA256:a",
    name: "ann",
    credential: { fingerprint: "SHA256:a" },
    ...{ claims: { secret: 1 } },
  },
  action: "connect",
  target: "web.localhost:22",
  rule: "owner",
  remote: "192.0.2.1:50000",
};

function setup() {
  const clock = new FakeClock();
  const records: FlowRecord[] = [];
  const flows = new Flows({ clock, write: (line) => records.push(JSON.parse(line)) });
  return { clock, records, flows };
}

Deno.test("a flow leaves one record with who, what, rule, bytes, duration and end", async () => {
  const { clock, records, flows } = setup();
  const flow = flows.start(start);
  flow.via = "10.0.0.7:4000";
  const [client, a] = duplexPair();
  const [b, server] = duplexPair();
  const relayed = relay(a, b, { signal: flow.signal, onBytes: flow.onBytes });
  await client.write(new Uint8Array(3));
  await client.closeWrite();
  await server.write(new Uint8Array(5));
  await server.closeWrite();
  await clock.advance(1500);
  flow.endWith(await relayed);
  flow.end("fault", "later");
  flow[Symbol.dispose]();
  const [{ id, ...record }, ...more] = records;
  assert.equal(more.length, 0);
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(record, {
    event: "flow",
    start: "2026-08-01T12:00:00.000Z",
    time: "2026-08-01T12:00:01.500Z",
    who: {
      kind: "key",
      issuer: "key",
      subject: "SHA256:a",
      name: "ann",
      credential: { fingerprint: "SHA256:a" },
    },
    remote: "192.0.2.1:50000",
    action: "connect",
    target: "web.localhost:22",
    rule: "owner",
    via: "10.0.0.7:4000",
    up: 3,
    down: 5,
    duration_ms: 1500,
    end: "ended",
  });
});

Deno.test("a flow that is forgotten on some path leaves its record all the same", () => {
  const { records, flows } = setup();
  assert.throws(() => {
    using flow = flows.start(start);
    flow.onBytes("aToB", 7);
    throw new Error("a path nobody thought of");
  });
  assert.deepEqual(records.map(({ end, up }) => [end, up]), [["abandoned", 7]]);
  assert.equal(flows.size, 0);
});

Deno.test("a relay that broke is told with its side", async () => {
  const { records, flows } = setup();
  const [, a] = duplexPair();
  const [b] = duplexPair();
  const flow = flows.start(start);
  const relayed = relay(a, b);
  b.close(new Error("connection reset"));
  flow.endWith(await relayed);
  assert.deepEqual([records[0].end, records[0].error], [
    "fault",
    "read on the target's side: connection reset",
  ]);
});

Deno.test("a flow ends when its session has lasted as long as it may, even a month", async () => {
  const { clock, records, flows } = setup();
  const month = 30 * 86_400_000;
  for (const maxSession of [1000, month]) {
    const flow = flows.start({ ...start, maxSession });
    const [, a] = duplexPair();
    const [b] = duplexPair();
    const relayed = relay(a, b, { signal: flow.signal });
    await clock.advance(maxSession - 1);
    assert.equal(flow.signal.aborted, false);
    await clock.advance(1);
    flow.endWith(await relayed);
  }
  assert.deepEqual(records.map(({ end, duration_ms }) => [end, duration_ms]), [["max-session", 1000], [
    "max-session",
    month,
  ]]);
  assert.equal(clock.pending, 0);
});

Deno.test("a flow that ends by itself leaves no timer", () => {
  const { clock, flows } = setup();
  flows.start({ ...start, maxSession: 1000 }).end("ended");
  assert.equal(clock.pending, 0);
});

Deno.test("what follows from a cut is recorded as the cut", () => {
  const { records, flows } = setup();
  const flow = flows.start(start);
  flow.cut("revoked", "the rule 'sre' is gone");
  flow.end("fault", new Error("the connection was closed"));
  flow.cut("drained", "too late");
  const late = flows.start(start);
  late.cut("revoked", "gone");
  late.end("ended");
  assert.deepEqual(records.map(({ end, error }) => [end, error]), [["revoked", "the rule 'sre' is gone"], [
    "ended",
    undefined,
  ]]);
});

Deno.test("draining waits for the last flow; cutting all leaves every record", async () => {
  const { records, flows } = setup();
  await flows.drained();
  const some = [flows.start(start), flows.start(start), flows.start(start)];
  assert.equal(flows.size, 3);
  for (const flow of some) flow.signal.addEventListener("abort", () => flow.end("aborted"));
  let drained = false;
  const waiting = flows.drained().then(() => drained = true);
  some[0].end("ended");
  await Promise.resolve();
  assert.equal(drained, false);
  flows.cutAll("drained", "the grace is over");
  await waiting;
  assert.deepEqual(records.map(({ end }) => end), ["ended", "drained", "drained"]);
  assert.equal(new Set(records.map(({ id }) => id)).size, 3);
  assert.deepEqual([...flows], []);
});

Deno.test("the start and the record of every flow are told to metrics", () => {
  const seen: string[] = [];
  const flows = new Flows({
    clock: new FakeClock(),
    write: () => {},
    onStart: (flow) => seen.push(`start ${flow.start.target}`),
    onEnd: (record) => seen.push(`end ${record.end}`),
  });
  flows.start(start).end("open-failed", new Error("down"));
  assert.deepEqual(seen, ["start web.localhost:22", "end open-failed"]);
});
