import assert from "node:assert/strict";
import {
  changeHostKeys,
  formatKnownHost,
  hostName,
  lookUpHost,
  matchesHosts,
  parseKnownHosts,
} from "../../src/keys/known_hosts.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { inFolder, keyFile, run } from "./tools.ts";

const lines = {
  ed25519: (await keyFile("ed25519.pub")).trim(),
  ecdsa: (await keyFile("ecdsa256.pub")).trim(),
  rsa: (await keyFile("rsa.pub")).trim(),
};
const ed25519 = parsePublicKeyLine(lines.ed25519).key;
const ecdsa = parsePublicKeyLine(lines.ecdsa).key;
const rsa = parsePublicKeyLine(lines.rsa).key;

async function verdict(text: string, host: string, port: number, shown: Parameters<typeof lookUpHost>[3]) {
  const answer = await lookUpHost(parseKnownHosts(text), host, port, shown);
  const line = "entry" in answer
    ? answer.entry.line
    : "entries" in answer
    ? answer.entries.map((e) => e.line)
    : [];
  return [answer.verdict, line];
}

Deno.test("a host is found by name, pattern, port and case", async () => {
  const text = [
    `web,10.0.0.1 ${lines.ed25519}`,
    `[web]:2222 ${lines.ecdsa}`,
    `*.example.com,!bad.example.com ${lines.rsa}`,
    "# a comment",
  ].join("\n");
  assert.deepEqual(await verdict(text, "web", 22, { key: ed25519 }), ["known", 1]);
  assert.deepEqual(await verdict(text, "WEB", 22, { key: ed25519 }), ["known", 1]);
  assert.deepEqual(await verdict(text, "10.0.0.1", 22, { key: ed25519 }), ["known", 1]);
  assert.deepEqual(await verdict(text, "web", 22, { key: rsa }), ["changed", [1]]);
  assert.deepEqual(await verdict(text, "web", 2222, { key: ecdsa }), ["known", 2]);
  assert.deepEqual(await verdict(text, "web", 2222, { key: ed25519 }), ["changed", [2]]);
  assert.deepEqual(await verdict(text, "a.example.com", 22, { key: rsa }), ["known", 3]);
  assert.deepEqual(await verdict(text, "bad.example.com", 22, { key: rsa }), ["unknown", []]);
  assert.deepEqual(await verdict(text, "example.com", 22, { key: rsa }), ["unknown", []]);
});

Deno.test("a line without port says yes for other ports, but does not say no", async () => {
  const text = `web ${lines.ed25519}`;
  assert.deepEqual(await verdict(text, "web", 2222, { key: ed25519 }), ["known", 1]);
  assert.deepEqual(await verdict(text, "web", 2222, { key: rsa }), ["unknown", []]);
  assert.deepEqual(await verdict(`@revoked web ${lines.rsa}`, "web", 2222, { key: rsa }), ["revoked", 1]);
});

Deno.test("authorities and revocation", async () => {
  const text = [
    `@cert-authority *.example.com ${lines.ed25519}`,
    `@revoked * ${lines.rsa}`,
    `web.example.com ${lines.ecdsa}`,
  ].join("\n");
  const host = "web.example.com";
  assert.deepEqual(await verdict(text, host, 22, { key: ecdsa, authority: ed25519 }), ["authority", 1]);
  assert.deepEqual(await verdict(text, host, 22, { key: ecdsa }), ["known", 3]);
  // The authority's key is not the host's.
  assert.deepEqual(await verdict(text, host, 22, { key: ed25519 }), ["changed", [3]]);
  assert.deepEqual(await verdict(text, host, 22, { key: ecdsa, authority: rsa }), ["revoked", 2]);
  assert.deepEqual(await verdict(text, host, 22, { key: rsa, authority: ed25519 }), ["revoked", 2]);
  // A certificate of an authority that nobody trusts is no better than its plain key.
  assert.deepEqual(await verdict(text, host, 22, { key: ecdsa, authority: ecdsa }), ["known", 3]);
  assert.deepEqual(await verdict(text, "other", 22, { key: ecdsa, authority: ed25519 }), ["unknown", []]);
});

Deno.test("lines that are wrong count for nothing and are reported", () => {
  const bad = [
    "web",
    "web ssh-ed25519",
    "@frob web " + lines.rsa,
    "web ssh-ed25519 ??",
    "web " + lines.rsa.slice(0, 60),
  ];
  const { entries, faults } = parseKnownHosts(bad.join("\n"));
  assert.deepEqual(entries, []);
  assert.deepEqual(faults.map(({ line }) => line), [1, 2, 3, 4, 5]);
});

Deno.test("hashed lines are ssh-keygen's and ours alike", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/known_hosts`;
    await Deno.writeTextFile(
      path,
      `web.example.com ${lines.ed25519}\n[web.example.com]:2222 ${lines.ecdsa}\n`,
    );
    await run("ssh-keygen", ["-H", "-f", path]);
    const theirs = await Deno.readTextFile(path);
    assert.ok(theirs.startsWith("|1|"));
    assert.deepEqual(await verdict(theirs, "web.example.com", 22, { key: ed25519 }), ["known", 1]);
    assert.deepEqual(await verdict(theirs, "web.example.com", 2222, { key: ecdsa }), ["known", 2]);
    assert.deepEqual(await verdict(theirs, "other", 22, { key: ed25519 }), ["unknown", []]);

    const ours = [
      await formatKnownHost(hostName("Web.example.com"), ed25519, { hashed: true }),
      await formatKnownHost(hostName("web.example.com", 2222), ecdsa, { hashed: true, comment: "c" }),
      await formatKnownHost("*.example.org", rsa, { marker: "cert-authority" }),
    ];
    await Deno.writeTextFile(path, ours.join("\n") + "\n");
    assert.match(await run("ssh-keygen", ["-F", "web.example.com", "-f", path]), /line 1/);
    assert.match(await run("ssh-keygen", ["-F", "[web.example.com]:2222", "-f", path]), /line 2/);
    assert.match(await run("ssh-keygen", ["-F", "a.example.org", "-f", path]), /line 3 CA/);
    await run("ssh-keygen", ["-F", "other", "-f", path], { code: 1 });
  });
});

Deno.test("a hash that is none matches nobody", async () => {
  for (
    const hosts of ["|1|", "|1||", "|1|AAAA|AAAA", "|2|AAAA|AAAA", "|1|???|???", "|1|AAAA|AAAA|AAAA", "|"]
  ) {
    assert.equal(await matchesHosts("web", hosts), false, hosts);
  }
});

Deno.test("rotation adds and removes keys of one host and leaves every other byte", async () => {
  const hashed = await formatKnownHost("web", ed25519, { hashed: true });
  const before = [
    "# kept  ",
    `web,other   ${lines.ed25519}`,
    `other ${lines.ed25519}`,
    `*eb ${lines.ed25519}`,
    `@cert-authority web ${lines.ed25519}`,
    hashed,
    `web ${lines.rsa}`,
    "broken",
    "",
  ].join("\n");
  const after = await changeHostKeys(before, "web", 22, { add: [ecdsa, rsa], remove: [ed25519] });
  assert.equal(
    after,
    [
      "# kept  ",
      `other   ${lines.ed25519}`,
      `other ${lines.ed25519}`,
      `*eb ${lines.ed25519}`,
      `@cert-authority web ${lines.ed25519}`,
      `web ${lines.rsa}`,
      "broken",
      `web ${lines.ecdsa.split(" ").slice(0, 2).join(" ")}`,
      "",
    ].join("\n"),
  );
  assert.equal(await changeHostKeys(before, "web", 22, { add: [], remove: [] }), before);
  assert.equal(await changeHostKeys(before, "web", 22, { add: [rsa], remove: [] }), before);
  assert.equal(
    await changeHostKeys("x", "web", 2222, { add: [rsa], remove: [] }),
    `x\n[web]:2222 ${lines.rsa.split(" ").slice(0, 2).join(" ")}\n`,
  );
});
