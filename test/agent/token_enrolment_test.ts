/** An agent with a token: what is sent to whom. */
import assert from "node:assert/strict";
import type { AgentError } from "../../src/agent/exit_codes.ts";
import type { TrustAnchors } from "../../src/agent/gateway_trust.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { believed, closed, gateway, scene, source } from "./enrolment_scene.ts";
import { gatewayKey, memoryState } from "./fake_gateway.ts";

Deno.test("with a token the agent makes a key, logs in by the token, and registers under its own name", async () => {
  const audiences: string[] = [];
  const token = source((audience) => (audiences.push(audience), "token-1"));
  const { fake, open, state } = scene({ token, anchors: believed });
  fake.tokens.add("token-1");
  const link = await open();
  assert.deepEqual(fake.tried, ["password token-1"]);
  assert.deepEqual(audiences, ["ssh://gw.mesh"]);
  assert.deepEqual(fake.registered, ["localhost:22"]);
  assert.match(state.text("agent_id_ed25519"), /OPENSSH PRIVATE KEY/);
  await closed(link);
  await fake.close();
});

Deno.test("--token-audience is what tokens are asked for", async () => {
  const audiences: string[] = [];
  const token = source((audience) => (audiences.push(audience), "t"));
  const { fake, open } = scene({ token, anchors: believed, audience: "mesh" });
  fake.tokens.add("t");
  await closed(await open());
  assert.deepEqual(audiences, ["mesh"]);
  await fake.close();
});

Deno.test("the token is read anew for each dial", async () => {
  let count = 0;
  const { fake, open } = scene({ token: source(() => `token-${++count}`), anchors: believed });
  for (const one of ["token-1", "token-2"]) {
    fake.tokens.add(one);
    await closed(await open());
    fake.tokens.delete(one);
  }
  assert.deepEqual(fake.tried, ["password token-1", "password token-2"]);
  await fake.close();
});

// Trust × credential: what comes of the first dial, and what the gateway saw.
type Outcome = "in" | "unknownGateway" | "hostKey";
const TRUST: readonly [
  what: string,
  anchors: (impostor: string) => Partial<TrustAnchors>,
  honest: Outcome,
  impostor: Outcome,
][] = [
  ["nothing known", () => ({}), "unknownGateway", "unknownGateway"],
  ["--gateway-key", () => believed, "in", "hostKey"],
  ["--gateway-key of somebody else", (other) => ({ fingerprints: [other] }), "hostKey", "in"],
  [
    "known_hosts without a line",
    () => ({
      knownHosts: { paths: ["/k"], hosts: { entries: [], faults: [] } },
    }),
    "unknownGateway",
    "unknownGateway",
  ],
];

for (const [what, anchors, honest, impostor] of TRUST) {
  for (const who of ["the gateway", "somebody in between"] as const) {
    const expected = who === "the gateway" ? honest : impostor;
    Deno.test(`a token and ${what}: ${who} ${expected === "in" ? "gets it" : "gets nothing"} on the first dial`, async () => {
      const other = await generatePrivateKey("ssh-ed25519");
      const { fake, open } = scene({
        token: source(() => "token-1"),
        anchors: anchors(await other.publicKey.fingerprint()),
      });
      if (who === "somebody in between") fake.hostKey = other;
      fake.tokens.add("token-1");
      if (expected === "in") await closed(await open());
      else await assert.rejects(open(), { name: "AgentError", reason: expected });
      await fake.close();
      assert.deepEqual(fake.tried, expected === "in" ? ["password token-1"] : []);
    });
  }
}

Deno.test("a key that was pinned because it was the first does not get a token later either", async () => {
  const state = memoryState();
  const first = scene({ state });
  const key = await generatePrivateKey("ssh-ed25519");
  first.fake.keys.push(key.publicKey);
  await first.trust.verify(gateway, {
    algorithm: "",
    blob: gatewayKey.publicKey.blob,
    key: gatewayKey.publicKey,
  });
  let asked = false;
  const { fake, open } = scene({ state, token: source(() => (asked = true, "token-1")) });
  await assert.rejects(open(), { reason: "unknownGateway", message: /--known-hosts or --gateway-key/ });
  assert.deepEqual([asked, fake.tried], [false, []]);
});

Deno.test("a token that is refused is told by its source, its expiry and its audience, never by itself", async () => {
  const claims = encodeBase64Url(
    encodeText(JSON.stringify({ exp: Date.parse("2026-08-01T11:00:00Z") / 1000 })),
  );
  const token = `header.${claims}.signature`;
  const { fake, open, events } = scene({ token: source(() => token), anchors: believed });
  await assert.rejects(open(), (error: AgentError) => {
    assert.equal(error.reason, "credential");
    assert.match(error.message, /--token-file \/token, which expired at 2026-08-01T11:00:00.000Z/);
    assert.match(error.message, /audience ssh:\/\/gw\.mesh\?/);
    assert.ok(!`${error.message}${JSON.stringify(events)}`.includes("signature"));
    return true;
  });
  await fake.close();
});
