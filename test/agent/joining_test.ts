/** An agent with a join token: what is sent to whom, and what is kept. */
import assert from "node:assert/strict";
import type { AgentError } from "../../src/agent/exit_codes.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { authorityPrint, believed, closed, gatewayPrint, joinToken, scene } from "./enrolment_scene.ts";
import { memoryState } from "./fake_gateway.ts";

Deno.test("a join token enrols the agent's key once; the key logs in from then on, and the token is not sent again", async () => {
  const join = joinToken();
  const state = memoryState();
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await closed(await one.open());
  assert.deepEqual(one.fake.tried, [`password ${join.text.slice(0, 40)}`, "publickey"]);
  assert.deepEqual(one.fake.commands, ["join"]);
  assert.deepEqual(one.fake.registered, ["localhost:22"]);
  assert.ok(one.events.some((event) => event.event === "enrolled" && event.name === "web"));
  await one.fake.close();
  // Another process, with the flag and without it, that trusts nobody new.
  for (const again of [scene({ join, state, fake: one.fake }), scene({ state, fake: one.fake })]) {
    one.fake.tried.length = 0;
    await closed(await again.open());
    assert.deepEqual(one.fake.tried, ["publickey"]);
    assert.deepEqual(again.events.filter(({ event }) => event === "pinned" || event === "enrolled"), []);
  }
  assert.ok(![...state.files.keys()].some((file) => state.text(file).includes("secret-of")));
  assert.ok(!state.text("agent_enrolments.json").includes(join.text));
  await one.fake.close();
});

Deno.test("an agent that dies between using its token and noting that comes back with its key", async () => {
  const join = joinToken();
  const state = memoryState();
  const write = state.write;
  state.write = (name, content) =>
    name === "agent_enrolments.json" ? Promise.reject(new Error("killed")) : write(name, content);
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await assert.rejects(one.open(), { message: "killed" });
  state.write = write;
  one.fake.tried.length = 0;
  const again = scene({ join, state, fake: one.fake });
  await closed(await again.open());
  assert.deepEqual(one.fake.tried, ["publickey"]);
  await one.fake.close();
});

Deno.test("a join token that was used elsewhere is refused in a sentence without its secret", async () => {
  const join = joinToken();
  const one = scene({ join });
  await assert.rejects(one.open(), (error: AgentError) => {
    assert.equal(error.reason, "credential");
    assert.match(error.message, /the join token id1.*works once/);
    assert.ok(!error.message.includes("secret") && !error.message.includes(join.text));
    return true;
  });
  await one.fake.close();
});

Deno.test("a gateway that lets a join token in and does not enrol says why", async () => {
  const join = joinToken();
  const one = scene({ join });
  one.fake.joins.add(join.text);
  one.fake.answers.set("join", { exit: 77, err: "the name web is taken\n" });
  await assert.rejects(one.open(), { reason: "credential", message: /as web: the name web is taken/ });
  assert.ok(!one.state.files.has("agent_enrolments.json"));
  await one.fake.close();
});

Deno.test("a new join token enrols anew where the old enrolment was taken back", async () => {
  const state = memoryState();
  const first = scene({ join: joinToken("id1"), state });
  first.fake.joins.add(joinToken("id1").text);
  await closed(await first.open());
  first.fake.keys.length = 0;
  await assert.rejects(first.open(), {
    reason: "credential",
    message: /by the join token id1: was that taken back, .*\(--join\) enrols it again$/,
  });
  const second = scene({ join: joinToken("id2"), state, fake: first.fake });
  first.fake.joins.add(joinToken("id2").text);
  await closed(await second.open());
  assert.equal(JSON.parse(state.text("agent_enrolments.json"))["gw.mesh:15022"].token, "id2");
  await first.fake.close();
});

/** Hosts of the join token × what the gateway shows. */
const VOUCHED: readonly [
  what: string,
  hosts: string[],
  certificate: string[] | undefined,
  believed: boolean,
][] = [
  ["its key is named", [gatewayPrint], undefined, true],
  ["its authority is named, and certifies this name", [authorityPrint], ["gw.mesh"], true],
  ["its authority is named, and certifies another name", [authorityPrint], ["node.gw.mesh"], false],
  ["its authority is named, and it shows a plain key", [authorityPrint], undefined, false],
  ["somebody else's key is named", [`SHA256:${"x".repeat(43)}`], ["gw.mesh"], false],
];

for (const [what, hosts, names, isBelieved] of VOUCHED) {
  Deno.test(`a join token and its gateway: ${what}: ${isBelieved ? "it gets it" : "it gets nothing"}`, async () => {
    const join = joinToken("id1", hosts);
    const one = scene({ join });
    one.fake.joins.add(join.text);
    if (names) await one.fake.certifyItself(...names);
    if (isBelieved) {
      await closed(await one.open());
    } else {
      await assert.rejects(one.open(), { reason: "hostKey" });
      assert.deepEqual(one.fake.tried, []);
    }
    await one.fake.close();
  });
}

Deno.test("a join token that names no gateway needs --gateway-key or --known-hosts", async () => {
  const join = joinToken("id1", []);
  const one = scene({ join });
  one.fake.joins.add(join.text);
  await assert.rejects(one.open(), { reason: "unknownGateway" });
  const two = scene({ join, fake: one.fake, anchors: believed });
  await closed(await two.open());
  await one.fake.close();
});

Deno.test("an enrolled agent knows its gateway: another key is refused, also for the key's login", async () => {
  const join = joinToken("id1", [authorityPrint]);
  const state = memoryState();
  const one = scene({ join, state });
  one.fake.joins.add(join.text);
  await one.fake.certifyItself("gw.mesh");
  await closed(await one.open());
  assert.match(state.text("agent_joined_known_hosts"), /^@cert-authority \[gw\.mesh\]:15022 /m);
  one.fake.hostKey = await generatePrivateKey("ssh-ed25519");
  const tried = one.fake.tried.length;
  await assert.rejects(scene({ state, fake: one.fake }).open(), { reason: "hostKey" });
  // One that the authority certifies for this name is the gateway, with a new key.
  await one.fake.certifyItself("gw.mesh");
  const again = scene({ state, fake: one.fake });
  await closed(await again.open());
  assert.equal(one.fake.tried.length, tried + 1);
  await one.fake.close();
});
