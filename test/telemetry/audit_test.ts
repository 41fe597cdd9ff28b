import assert from "node:assert/strict";
import { Audit, type AuditContext } from "../../src/telemetry/audit.ts";
import { configureLogging, stopLogging } from "../../src/telemetry/log.ts";
import { RECORD_INTERVAL, RecordLimit, WHOLE_RECORDS } from "../../src/telemetry/record_limit.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("an audit event is one JSON line: who, from where, what, by which rule", () => {
  const lines: string[] = [];
  const audit = new Audit({ clock: new FakeClock(), write: (line) => lines.push(line) });
  const actor = {
    kind: "key",
    issuer: "key",
    subject: "SHA256:a",
    name: "ann",
    credential: {},
    claims: { groups: ["x"] },
  };
  audit.record("node.registered", {
    name: "web.localhost",
    port: 22,
    epoch: 1,
    rule: "owner",
    published: false,
  }, {
    actor,
    remote: "192.0.2.1:50000",
    connection: "c1",
  });
  audit.record("auth.refused", { method: "publickey", reason: "unknown key", claimed: "root\n\u001b[2J" });
  assert.deepEqual(JSON.parse(lines[0]), {
    event: "node.registered",
    time: "2026-08-01T12:00:00.000Z",
    who: { kind: "key", issuer: "key", subject: "SHA256:a", name: "ann", credential: {} },
    remote: "192.0.2.1:50000",
    connection: "c1",
    name: "web.localhost",
    port: 22,
    epoch: 1,
    rule: "owner",
    published: false,
  });
  assert.equal(JSON.parse(lines[1]).claimed, "root\\u{a}\\u{1b}[2J");
});

Deno.test("refusals, and nothing else, are told to the log too", () => {
  const log: string[] = [];
  configureLogging({ format: "text", write: (line) => log.push(line) });
  try {
    const audit = new Audit({ clock: new FakeClock(), write: () => {} });
    audit.record("auth.accepted", { method: "publickey" });
    audit.record("node.refused", { name: "web", port: 22, rule: "held", reason: "you serve it" }, {
      remote: "192.0.2.1:5",
    });
  } finally {
    stopLogging();
  }
  assert.equal(log.length, 1);
  assert.match(
    log[0],
    /warning audit: node\.refused remote=192\.0\.2\.1:5 name=web port=22 rule=held reason="you serve it"$/,
  );
});

Deno.test("of refusals a hundred a minute are written whole, by actor and kind, and the others are counted", async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const audit = new Audit({ clock, write: (line) => lines.push(line) });
  const told = () => lines.splice(0).map((line) => JSON.parse(line));
  const actorOf = (subject: string) => ({
    kind: "key",
    issuer: "key",
    subject,
    name: subject,
    credential: {},
  });
  const refuse = (context: AuditContext) =>
    audit.record(
      "access.refused",
      { action: "direct-tcpip", resource: "a:1", rule: "r", reason: "x" },
      context,
    );
  const eve = { actor: actorOf("eve"), remote: "192.0.2.1:5", connection: "c1" };
  for (let i = 0; i < 5000; i++) refuse({ ...eve, connection: `c${i}` });
  assert.equal(told().length, WHOLE_RECORDS);
  // Others, other kinds, strangers elsewhere and what took a right have their own.
  refuse({ ...eve, actor: actorOf("ann") });
  audit.record("node.refused", { name: "web", port: 22, rule: "r", reason: "x" }, eve);
  for (const remote of ["192.0.2.1:1", "192.0.2.2:1"]) refuse({ remote });
  audit.record("command.run", { command: "ls", rule: "owner", exit: 0 }, eve);
  assert.equal(told().length, 5);
  for (let i = 0; i < 500; i++) refuse({ remote: `192.0.2.1:${i}` });
  for (let i = 0; i < 500; i++) {
    audit.record("command.run", { command: "help", rule: "self-service", exit: 0 }, {
      ...eve,
      unprivileged: true,
    });
  }
  assert.equal(told().length, 2 * WHOLE_RECORDS - 1);
  await clock.advance(RECORD_INTERVAL);
  refuse(eve);
  const counted = told();
  assert.equal(counted.pop().event, "access.refused");
  assert.deepEqual(
    counted.map(({ event, who, remote, of, count }) => [event, who?.name ?? remote, of, count]),
    [
      ["records.left_out", "eve", "access.refused", 5000 - WHOLE_RECORDS],
      ["records.left_out", "192.0.2.1:1", "access.refused", 501 - WHOLE_RECORDS],
      ["records.left_out", "eve", "command.run", 500 - WHOLE_RECORDS],
    ],
  );
});

Deno.test("what was counted is told before the end, once", () => {
  const lines: string[] = [];
  const audit = new Audit({ clock: new FakeClock(), write: (line) => lines.push(line) });
  for (let i = 0; i <= WHOLE_RECORDS; i++) audit.record("auth.refused", { method: "publickey", reason: "x" });
  assert.equal(lines.length, WHOLE_RECORDS);
  audit.flush();
  audit.flush();
  assert.equal(lines.length, WHOLE_RECORDS + 1);
  assert.match(lines.at(-1)!, /"of":"auth\.refused","count":1/);
});

Deno.test("however many actors there are, what is counted of them is bounded, and nothing is lost", () => {
  const limit = new RecordLimit<string>();
  let left = 0;
  for (let i = 0; i < 20_000; i++) {
    for (let j = 0; j <= WHOLE_RECORDS; j++) limit.admits("auth.refused", `${i}`, "", 0);
    for (const { count } of limit.close(0)) left += count;
  }
  assert.equal(left, 10_000);
  for (const { count } of limit.close(Infinity)) left += count;
  assert.equal(left, 20_000);
});
