import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeAllowDial, encodeInstance } from "../../src/mesh/requests.ts";
import { ChannelOpenError } from "../../src/ssh/error.ts";
import { decodeTcpChannel } from "../../src/ssh/forward/messages.ts";
import { startTestGateway, type TestClient, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const pod = await testKey("pod");

/** Offers ranges as an agent does, and answers what it is asked to dial with the address. */
async function offer(client: TestClient, ranges: string[], greeting = "to "): Promise<boolean> {
  client.router.onChannel("direct-tcpip", async (incoming) => {
    const { target: { host, port } } = decodeTcpChannel(incoming.data);
    const channel = incoming.accept();
    await channel.write(encodeText(`${greeting}${host}:${port}`));
    await channel.closeWrite();
    channel.close();
  });
  await client.connection.request("instance@ssh-mesh", encodeInstance("one"), true);
  return await client.connection.request("allow-dial@ssh-mesh", encodeAllowDial(ranges), true) !== false;
}

Deno.test("a node dials on what it offers, and nothing else", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const node = await site.connect(ann.key);
  assert.ok(await offer(node, ["10.0.0.0/8:5432"]));
  await node.serve("web", 22);
  const user = await site.connect(ann.key);
  assert.equal(await user.ask("10.1.2.3", 5432), "to 10.1.2.3:5432");
  await assert.rejects(user.open("10.1.2.3", 22), ChannelOpenError);
  await assert.rejects(user.open("192.168.0.1", 5432), ChannelOpenError);
  node.close();
  await node.connection.closed;
  await assert.rejects(user.open("10.1.2.3", 5432), ChannelOpenError);
});

Deno.test("the narrowest offer is taken", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  for (const [name, range] of [["wide", "10.0.0.0/8:80"], ["narrow", "10.1.0.0/16:80"]]) {
    const node = await site.connect(ann.key);
    await offer(node, [range], `${name} `);
    await node.serve(name, 22);
  }
  assert.equal(await (await site.connect(ann.key)).ask("10.1.2.3", 80), "narrow 10.1.2.3:80");
  assert.equal(await (await site.connect(ann.key)).ask("10.2.2.3", 80), "wide 10.2.2.3:80");
});

Deno.test("an offer gives nobody's traffic to a node that may not dial there itself", async () => {
  const register = `{ who: { key: "${pod.fingerprint}" }, may: [register], what: { node: pod } }`;
  const dial =
    `{ who: { key: "${pod.fingerprint}" }, may: [dial], what: { dial: "10.0.0.0/8:80", via: pod } }`;
  for (const [rules, expected] of [[`[${register}]`, false], [`[${register}, ${dial}]`, true]] as const) {
    await using site = await startTestGateway({
      keys: [ann.line, `user:${pod.line}`],
      policy: `rules: ${rules}`,
    });
    const node = await site.connect(pod.key);
    await offer(node, ["0.0.0.0/0:1-65535"]);
    await node.serve("pod", 22);
    const user = await site.connect(ann.key);
    const opened = await user.open("10.1.2.3", 80).then(() => true, () => false);
    assert.equal(opened, expected);
    await assert.rejects(
      user.open("127.0.0.1", 80),
      ChannelOpenError,
      "an offer of everything is none of loopback",
    );
  }
});

Deno.test("through a node that dials, nobody gets who may not dial there through that node", async () => {
  const rule = (via: string) =>
    `[{ who: { key: "${pod.fingerprint}" }, may: [dial], what: { dial: "10.0.0.0/8:80", via: ${via} } }]`;
  for (const [via, expected] of [["web", true], ["other", false]] as const) {
    await using site = await startTestGateway({
      keys: [ann.line, `user:${pod.line}`],
      policy: `rules: ${rule(via)}`,
    });
    const node = await site.connect(ann.key);
    await offer(node, ["0.0.0.0/0:1-65535"]);
    await node.serve("web", 22);
    const user = await site.connect(pod.key);
    const opened = await user.open("10.1.2.3", 80).then(() => true, () => false);
    assert.equal(opened, expected);
    await assert.rejects(user.open("10.1.2.3", 81), ChannelOpenError);
  }
});

Deno.test("what is no range is refused as a whole", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  assert.equal(await offer(await site.connect(ann.key), ["10.0.0.0/8:80", "everything"]), false);
});
