import assert from "node:assert/strict";
import { Audit } from "../../src/telemetry/audit.ts";
import { configureLogging, stopLogging } from "../../src/telemetry/log.ts";
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
