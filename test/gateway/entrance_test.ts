/** Connections that come in at the gateway's port, over a network in memory. */
import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { parseAddressRange } from "../../src/bytes/ip_range.ts";
import { Entrance, type EntranceOptions } from "../../src/gateway/entrance.ts";
import { SshError, type SshErrorCode } from "../../src/ssh/error.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { configureLogging, stopLogging } from "../../src/telemetry/log.ts";
import { meshMetrics, noMetrics } from "../../src/telemetry/metrics.ts";
import { RECORD_INTERVAL, WHOLE_RECORDS } from "../../src/telemetry/record_limit.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** The first bytes of a TLS record with a ClientHello. */
const CLIENT_HELLO = new Uint8Array([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);

/** An entrance whose web clients each send a request and stay, and whose SSH clients are counted. */
function scene(
  maxClients: number,
  { clock = new FakeClock(), handshake }: {
    clock?: FakeClock;
    handshake?: EntranceOptions["handshake"];
  } = {},
) {
  let shaken = 0;
  const served: string[] = [];
  const https: EntranceOptions["https"] = {
    async serve(connection, { hostname }, visit) {
      visit.onRequest();
      served.push(hostname);
      const buffer = new Uint8Array(64);
      while (await connection.read(buffer) !== null);
      return true;
    },
  };
  const entrance = new Entrance({
    clock,
    config: {
      loginGrace: 10_000,
      proxyFrom: [parseAddressRange("198.51.100.0/24")],
      limits: {
        maxClients,
        maxClientsPerIdentity: maxClients,
        maxStartups: 1000,
        maxStartupsPerSource: 1000,
        penaltyExempt: [],
      },
    },
    metrics: meshMetrics(noMetrics),
    https,
    clients: () => 0,
    handshake: handshake ?? (() => Promise.resolve(shaken++)),
  });
  return {
    served,
    get shaken() {
      return shaken;
    },
    async arrive(hostname: string, first: Uint8Array<ArrayBuffer>) {
      const [near, far] = duplexPair();
      await near.write(first);
      const ended = entrance.arrived(far, { transport: "tcp", hostname, port: 1 }, ["ssh", "tls"]);
      await settle();
      return { near, ended };
    },
  };
}

const ssh = new TextEncoder().encode("SSH-2.0-test\r\n");

Deno.test("web clients have places of their own: however many there are, SSH clients get in", async () => {
  const site = scene(16);
  const visitors = [];
  for (let i = 0; i < 20; i++) visitors.push(await site.arrive(`192.0.2.${i}`, CLIENT_HELLO));
  assert.equal(site.served.length, 4);
  await site.arrive("192.0.2.99", ssh);
  assert.equal(site.shaken, 1);
  for (const { near } of visitors) near.close();
  await Promise.all(visitors.map(({ ended }) => ended));
  const late = await site.arrive("192.0.2.98", CLIENT_HELLO);
  assert.equal(site.served.length, 5);
  late.near.close();
  await late.ended;
});

Deno.test("behind a balancer clients are told apart, and one that is held off does not take others with it", async () => {
  const refused = () => Promise.reject(new SshError("auth", "no"));
  const seen: string[] = [];
  const handshake: EntranceOptions["handshake"] = (_, { hostname }) => {
    seen.push(hostname);
    return hostname === "192.0.2.7" ? refused() : Promise.resolve();
  };
  const site = scene(16, { handshake });
  const from = async (client: string) => {
    const first = encodeText(`PROXY TCP4 ${client} 198.51.100.2 1 22\r\nSSH-2.0-test\r\n`);
    const { near, ended } = await site.arrive("198.51.100.1", first);
    near.close();
    await ended;
  };
  for (let tries = 0; tries < 30; tries++) await from("192.0.2.7");
  assert.ok(seen.length < 30, "held off");
  await from("192.0.2.8");
  assert.equal(seen.at(-1), "192.0.2.8");
  // From elsewhere a header is no header.
  await site.arrive("203.0.113.1", encodeText("PROXY TCP4 192.0.2.9 198.51.100.2 1 22\r\nSSH-2.0-test\r\n"));
  assert.equal(seen.at(-1), "203.0.113.1");
});

Deno.test("one address has a share of the places of web clients", async () => {
  const site = scene(16);
  const visitors = [];
  for (let i = 0; i < 5; i++) visitors.push(await site.arrive("192.0.2.1", CLIENT_HELLO));
  assert.equal(site.served.length, 2);
  visitors.push(await site.arrive("192.0.2.2", CLIENT_HELLO));
  assert.equal(site.served.length, 3);
  for (const { near } of visitors) near.close();
  await Promise.all(visitors.map(({ ended }) => ended));
});

/** What a connection is told that is not let in. */
async function greeting(near: { read(into: Uint8Array<ArrayBuffer>): Promise<number | null> }) {
  const buffer = new Uint8Array(99);
  return decodeText(buffer.subarray(0, await near.read(buffer) ?? 0));
}

/** How a login ends, whether a credential was refused before, and how many of them hold an address off. */
const endings: readonly [SshErrorCode, boolean, number | undefined][] = [
  ["auth", true, 13],
  ["timeout", false, 7],
  ["protocol", false, 7],
  ["negotiation", false, 7],
  ["integrity", false, 7],
  ["limit", false, 7],
  ["connection-lost", false, 61],
  ["disconnected", false, 61],
  ["connection-lost", true, 13],
  ["disconnected", true, 13],
  ["closed", false, undefined],
];

for (const [code, refused, count] of endings) {
  const how = `${code}${refused ? ", with a credential refused" : ""}`;
  Deno.test(`an address whose logins end so (${how}) is held off after ${count ?? "none"} of them`, async () => {
    const site = scene(999, {
      handshake(_connection, _remote, _grace, onRefused) {
        if (refused) onRefused();
        return Promise.reject(new SshError(code, "as the table says"));
      },
    });
    for (let i = 0; i < (count ?? 200); i++) await (await site.arrive("192.0.2.1", ssh)).ended;
    const { near } = await site.arrive("192.0.2.1", ssh);
    if (count === undefined) return near.close();
    assert.equal(await greeting(near), "Not allowed at this time\r\n");
    near.close();
    const other = await site.arrive("192.0.2.2", ssh);
    await other.ended;
  });
}

Deno.test("who is refused again and again is told to the log so often, and then counted", async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  configureLogging({ format: "text", level: "warning", write: (line) => lines.push(line) });
  try {
    const site = scene(0, { clock });
    for (let i = 0; i < WHOLE_RECORDS + 20; i++) (await site.arrive("192.0.2.1", ssh)).near.close();
    assert.equal(lines.length, WHOLE_RECORDS);
    await clock.advance(RECORD_INTERVAL);
    (await site.arrive("192.0.2.2", ssh)).near.close();
    assert.match(lines[WHOLE_RECORDS], /20 more connections from 192\.0\.2\.1 refused/);
    assert.match(lines[WHOLE_RECORDS + 1], /connection from 192\.0\.2\.2:1 refused: too many clients/);
  } finally {
    stopLogging();
  }
});
