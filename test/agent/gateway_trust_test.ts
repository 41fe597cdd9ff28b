import assert from "node:assert/strict";
import { parseCertificate, signCertificate } from "../../src/cert/certificate.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import { GatewayTrust, type TrustAnchors } from "../../src/agent/gateway_trust.ts";
import { formatKnownHost, parseKnownHosts } from "../../src/keys/known_hosts.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import type { PublicKey } from "../../src/keys/types.ts";
import type { StateFolder } from "../../src/platform/state.ts";
import type { ProvenHostKey } from "../../src/ssh/transport/host_key.ts";

const first = await generatePrivateKey("ssh-ed25519");
const second = await generatePrivateKey("ssh-ed25519");
const authority = await generatePrivateKey("ssh-ed25519");
const gateway = { hostname: "gw.example.com", port: 15022 };
const NOW = Date.parse("2026-08-01T12:00:00Z");

function memoryState(): StateFolder & { text(): string } {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    path: "/state",
    read: (name) => Promise.resolve(files.get(name)),
    write: (name, content) => Promise.resolve(void files.set(name, content)),
    openJournal: () => Promise.reject(new Error("no journals here")),
    close() {},
    text: () => new TextDecoder().decode(files.get("agent_known_hosts")),
  };
}

function scene(anchors: Partial<TrustAnchors> = {}, state = memoryState()) {
  const events: AgentEvent[] = [];
  const trust = new GatewayTrust(
    { fingerprints: [], ...anchors },
    state,
    () => NOW,
    (event) => events.push(event),
  );
  return { trust, state, events };
}

function shown(key: PublicKey): ProvenHostKey {
  return { algorithm: key.type, blob: key.blob, key };
}

async function knownHosts(...lines: string[]): Promise<TrustAnchors["knownHosts"]> {
  return await Promise.resolve({ paths: ["/known_hosts"], hosts: parseKnownHosts(lines.join("\n")) });
}

const line = (key: PublicKey, options = {}) => formatKnownHost("[gw.example.com]:15022", key, options);

Deno.test("the first key is pinned with a loud line, and believed from then on", async () => {
  const { trust, state, events } = scene();
  await trust.verify(gateway, shown(first.publicKey));
  await trust.verify(gateway, shown(first.publicKey));
  assert.deepEqual(events.map(({ event }) => event), ["pinned"]);
  assert.match(state.text(), /^\[gw\.example\.com\]:15022 ssh-ed25519 /);
});

Deno.test("a pinned key that changes is refused, and stays refused by the next agent", async () => {
  const { trust, state } = scene();
  await trust.verify(gateway, shown(first.publicKey));
  const before = state.text();
  for (const { verify } of [trust, scene({}, state).trust].map((t) => ({ verify: t.verify.bind(t) }))) {
    await assert.rejects(verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
  }
  assert.equal(state.text(), before);
});

Deno.test("a pin is for one address: another port is another gateway", async () => {
  const { trust } = scene();
  await trust.verify(gateway, shown(first.publicKey));
  await trust.verify({ ...gateway, port: 22 }, shown(second.publicKey));
  await assert.rejects(trust.verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
});

Deno.test("--gateway-key believes that key alone, and pins nothing", async () => {
  const { trust, state } = scene({ fingerprints: [await first.publicKey.fingerprint()] });
  await trust.verify(gateway, shown(first.publicKey));
  await assert.rejects(trust.verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
  assert.equal(state.text(), "");
  assert.equal(trust.pins, false);
});

Deno.test("known_hosts believes what it says, and nothing is trusted for being first", async () => {
  const { trust, state } = scene({ knownHosts: await knownHosts(await line(first.publicKey)) });
  await trust.verify(gateway, shown(first.publicKey));
  await assert.rejects(trust.verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
  const other = { hostname: "other", port: 15022 };
  await assert.rejects(trust.verify(other, shown(first.publicKey)), { reason: "unknownGateway" });
  assert.equal(state.text(), "");
});

Deno.test("a revoked key is refused even where its fingerprint is known", async () => {
  const revoked = await knownHosts(
    await line(first.publicKey),
    await line(first.publicKey, { marker: "revoked" }),
  );
  const fingerprints = [await first.publicKey.fingerprint()];
  const { trust } = scene({ knownHosts: revoked, fingerprints });
  await assert.rejects(trust.verify(gateway, shown(first.publicKey)), { reason: "hostKey" });
});

Deno.test("known_hosts that calls the key changed wins over a fingerprint that is not the key's", async () => {
  const { trust } = scene({
    knownHosts: await knownHosts(await line(first.publicKey)),
    fingerprints: [await authority.publicKey.fingerprint()],
  });
  await assert.rejects(trust.verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
});

async function certified(principal: string, validBefore: bigint): Promise<ProvenHostKey> {
  const blob = await signCertificate({
    role: "host",
    publicKey: first.publicKey,
    serial: 1n,
    keyId: "gw",
    principals: [principal],
    validAfter: 0n,
    validBefore,
  }, authority);
  const certificate = parseCertificate(blob);
  return { algorithm: certificate.type, blob, key: first.publicKey, certificate };
}

Deno.test("an authority in known_hosts vouches by a valid certificate for the very name", async () => {
  const hosts = await knownHosts(await line(authority.publicKey, { marker: "cert-authority" }));
  const { trust } = scene({ knownHosts: hosts });
  const later = BigInt(NOW / 1000 + 600);
  await trust.verify(gateway, await certified("gw.example.com", later));
  for (
    const [principal, until] of [["other.example.com", later], [
      "gw.example.com",
      BigInt(NOW / 1000 - 1),
    ]] as const
  ) {
    await assert.rejects(trust.verify(gateway, await certified(principal, until)), {
      reason: "unknownGateway",
    });
  }
});

Deno.test("announced keys replace the pins of that gateway and no other's", async () => {
  const { trust, state } = scene();
  const other = { hostname: "other", port: 22 };
  await trust.verify(gateway, shown(first.publicKey));
  await trust.verify(other, shown(first.publicKey));
  await trust.rotate(gateway, [first.publicKey, second.publicKey]);
  await trust.verify(gateway, shown(second.publicKey));
  await trust.rotate(gateway, [second.publicKey]);
  await assert.rejects(trust.verify(gateway, shown(first.publicKey)), { reason: "hostKey" });
  await trust.verify(other, shown(first.publicKey));
  const before = state.text();
  await trust.rotate(gateway, [second.publicKey]);
  assert.equal(state.text(), before);
});

Deno.test("announcements change nothing where the user said whom to believe", async () => {
  const { trust, state } = scene({ fingerprints: [await first.publicKey.fingerprint()] });
  await trust.rotate(gateway, [second.publicKey]);
  assert.equal(state.text(), "");
});

Deno.test("what a join token vouched for is known without it, follows announcements, and is no first answer", async () => {
  const state = memoryState();
  const joinToken = { hosts: [await first.publicKey.fingerprint()] };
  const joining = scene({ joinToken }, state);
  await joining.trust.verify(gateway, shown(first.publicKey), { secret: true });
  assert.equal(state.text(), "", "nothing is pinned");
  const later = scene({}, state);
  assert.equal(await later.trust.isAnchored(gateway), true);
  assert.equal(await later.trust.isAnchored({ ...gateway, port: 22 }), false);
  await later.trust.verify(gateway, shown(first.publicKey), { secret: true });
  await assert.rejects(later.trust.verify(gateway, shown(second.publicKey)), { reason: "hostKey" });
  await later.trust.rotate(gateway, [second.publicKey]);
  await later.trust.verify(gateway, shown(second.publicKey), { secret: true });
  await assert.rejects(later.trust.verify(gateway, shown(first.publicKey)), { reason: "hostKey" });
  assert.deepEqual(later.events.filter(({ event }) => event === "pinned"), []);
});

Deno.test("--gateway-key means that key alone, whatever a join token says", async () => {
  const joinToken = { hosts: [await second.publicKey.fingerprint()] };
  const { trust } = scene({ joinToken, fingerprints: [await first.publicKey.fingerprint()] });
  await trust.verify(gateway, shown(first.publicKey), { secret: true });
  await assert.rejects(trust.verify(gateway, shown(second.publicKey), { secret: true }), {
    reason: "hostKey",
  });
});
