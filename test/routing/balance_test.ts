import assert from "node:assert/strict";
import { Balancer } from "../../src/routing/balance.ts";
import { type OpenRequest, type Target, TargetError } from "../../src/routing/target.ts";
import { dialTarget } from "../../src/routing/upstream.ts";
import { type Net, NetError } from "../../src/platform/net.ts";
import type { Duplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { FakeClock } from "../support/fake_clock.ts";

const request: OpenRequest = { origin: { hostname: "192.0.2.1", port: 1 } };

function target(
  id: string,
  open: (request: OpenRequest) => Promise<Duplex> = () => Promise.resolve(duplexPair()[0]),
): Target {
  return { id, description: id, open };
}

const failing = (id: string) => target(id, () => Promise.reject(new TargetError("failed", `${id} is down`)));

function balancer() {
  const clock = new FakeClock();
  return { clock, balancer: new Balancer({ clock, openTimeout: 1000 }) };
}

Deno.test("targets without flows are taken in turn", async () => {
  const { balancer: b, clock } = balancer();
  const targets = ["x", "y", "z"].map((id) => target(id));
  const chosen: string[] = [];
  for (let i = 0; i < 7; i++) {
    using opened = await b.open(targets, request);
    chosen.push(opened.target.id);
  }
  assert.deepEqual(chosen.join(""), "xyzxyzx");
  assert.equal(clock.pending, 0);
});

Deno.test("the target with the fewest open flows is taken first", async () => {
  const { balancer: b } = balancer();
  const [x, y] = ["x", "y"].map((id) => target(id));
  const open = () => b.open([x, y], request);
  const flows = [await open(), await open(), await open(), await open()];
  assert.deepEqual([b.flows(x), b.flows(y)], [2, 2]);
  flows.filter((flow) => flow.target === y).forEach((flow) => {
    flow.done();
    flow.done();
  });
  assert.deepEqual([b.flows(x), b.flows(y)], [2, 0]);
  assert.deepEqual([(await open()).target.id, (await open()).target.id], ["y", "y"]);
});

Deno.test("many at once spread, for an opening counts from the choice on", async () => {
  const { balancer: b } = balancer();
  const targets = ["x", "y", "z"].map((id) => target(id));
  await Promise.all(Array.from({ length: 9 }, () => b.open(targets, request)));
  assert.deepEqual(targets.map((one) => b.flows(one)), [3, 3, 3]);
});

Deno.test("when opening fails the next target is tried, each once, and nothing stays counted", async () => {
  const { balancer: b } = balancer();
  const [bad, good] = [failing("bad"), target("good")];
  for (let i = 0; i < 3; i++) {
    using opened = await b.open([bad, good], request);
    assert.equal(opened.target.id, "good");
  }
  assert.equal(b.flows(bad), 0);
  const tried: string[] = [];
  const all = ["x", "y"].map((id) =>
    target(id, () => {
      tried.push(id);
      return Promise.reject(new Error(`${id} is down`));
    })
  );
  await assert.rejects(b.open(all, request), (error: unknown) => {
    assert(error instanceof TargetError && error.cause instanceof AggregateError);
    assert.deepEqual([error.code, error.message, error.cause.errors.length], ["failed", "y is down", 2]);
    return true;
  });
  assert.deepEqual(tried, ["x", "y"]);
});

Deno.test("no target is an error of its own", async () => {
  await assert.rejects(balancer().balancer.open([], request), { name: "TargetError", code: "none" });
});

Deno.test("a target that does not answer in time gives way, and what it opens too late is closed", async () => {
  const { balancer: b, clock } = balancer();
  const late = Promise.withResolvers<Duplex>();
  const [near, far] = duplexPair();
  const slow = target("slow", () => late.promise);
  const opening = b.open([slow, target("good")], request);
  await clock.advance(1000);
  assert.equal((await opening).target.id, "good");
  late.resolve(near);
  await assert.rejects(far.read(new Uint8Array(1)));
  const never = target("never", () => new Promise(() => {}));
  const refused = assert.rejects(b.open([never], request), {
    code: "timeout",
    message: "never did not answer within 1000 ms",
  });
  await clock.advance(1000);
  await refused;
});

Deno.test("a client that goes ends the attempt, and no other target is tried", async () => {
  const { balancer: b, clock } = balancer();
  const controller = new AbortController();
  let signalled = false;
  const slow = target(
    "slow",
    ({ signal }) =>
      new Promise((_, reject) =>
        signal!.addEventListener("abort", () => {
          signalled = true;
          reject(signal!.reason);
        })
      ),
  );
  const opening = b.open([slow, target("never", () => assert.fail("tried"))], {
    ...request,
    signal: controller.signal,
  });
  const refused = assert.rejects(opening, /client went/);
  controller.abort(new Error("client went"));
  await refused;
  assert.equal(signalled, true);
  assert.equal(clock.pending, 0);
  assert.equal(b.flows(slow), 0);
});

Deno.test("a dialled target says where it could not get to", async () => {
  const net = {
    dial: () => Promise.reject(new NetError("refused", "connection refused")),
  } as unknown as Net;
  const upstream = dialTarget(net, { transport: "tcp", hostname: "fd00::1", port: 22 });
  assert.equal(upstream.description, "[fd00::1]:22");
  await assert.rejects(upstream.open(request), {
    name: "TargetError",
    code: "failed",
    message: "cannot reach [fd00::1]:22: connection refused",
  });
});
