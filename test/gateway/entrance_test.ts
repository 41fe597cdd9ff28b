/** Connections that come in at the gateway's port, over a network in memory. */
import assert from "node:assert/strict";
import { Entrance, type EntranceOptions } from "../../src/gateway/entrance.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { meshMetrics, noMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** The first bytes of a TLS record with a ClientHello. */
const CLIENT_HELLO = new Uint8Array([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);

/** An entrance whose web clients each send a request and stay, and whose SSH clients are counted. */
function scene(maxClients: number) {
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
    clock: new FakeClock(),
    config: {
      loginGrace: 10_000,
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
    handshake: () => Promise.resolve(shaken++),
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
