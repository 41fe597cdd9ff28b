import assert from "node:assert/strict";
import { judgeLogin, type LoginRules } from "../../src/agent/login_rules.ts";
import { parseCertificate, signCertificate } from "../../src/cert/certificate.ts";
import { parseAuthorizedKeys } from "../../src/keys/authorized_keys.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";

const ann = await generatePrivateKey("ssh-ed25519");
const authority = await generatePrivateKey("ssh-ed25519");
const NOW = Date.parse("2026-08-01T12:00:00Z");
const context = { now: NOW, address: "192.0.2.7", ownUser: "app" };

const annLine = formatPublicKey(ann.publicKey, "ann");
const authorityLine = formatPublicKey(authority.publicKey, "ca");

function rules(lines: string, extra: Partial<LoginRules> = {}): LoginRules {
  const { keys, faults } = parseAuthorizedKeys(lines);
  assert.deepEqual(faults, []);
  return { keys, authorities: [], principals: [], ...extra };
}

async function certificate(
  principals: string[],
  options: Record<string, string> = {},
  extensions: string[] = [],
) {
  const blob = await signCertificate({
    role: "user",
    publicKey: ann.publicKey,
    serial: 7n,
    keyId: "ann's",
    principals,
    validAfter: BigInt(NOW / 1000 - 60),
    validBefore: BigInt(NOW / 1000 + 60),
    criticalOptions: new Map(Object.entries(options)),
    extensions: new Map(extensions.map((name) => [name, ""])),
  }, authority);
  return { key: ann.publicKey, certificate: parseCertificate(blob) };
}

async function admitted(
  ...[of, shown, user = "app", at = context]: [
    LoginRules,
    Parameters<typeof judgeLogin>[1],
    string?,
    typeof context?,
  ]
): Promise<boolean> {
  return "restrictions" in await judgeLogin(of, shown, user, at);
}

Deno.test("a key on a line logs in, and one that is on none does not", async () => {
  assert.ok(await admitted(rules(annLine), { key: ann.publicKey }));
  assert.ok(!await admitted(rules(authorityLine), { key: ann.publicKey }));
  assert.ok(!await admitted(rules(""), { key: ann.publicKey }));
});

Deno.test("an authority's line is no login key", async () => {
  assert.ok(!await admitted(rules(`cert-authority ${annLine}`), { key: ann.publicKey }));
});

Deno.test("lines open the agent's own account and no other", async () => {
  assert.ok(!await admitted(rules(annLine), { key: ann.publicKey }, "root"));
});

Deno.test("a line's from and expiry-time hold", async () => {
  const shown = { key: ann.publicKey };
  assert.ok(await admitted(rules(`from="192.0.2.0/24" ${annLine}`), shown));
  assert.ok(!await admitted(rules(`from="198.51.100.0/24" ${annLine}`), shown));
  assert.ok(!await admitted(rules(`expiry-time="20200101" ${annLine}`), shown));
  // Where a connection came from may not be known at all.
  assert.ok(
    !await admitted(rules(`from="192.0.2.0/24" ${annLine}`), shown, "app", { ...context, address: "" }),
  );
});

Deno.test("a trusted authority alone lets nobody in: the principal must have been named", async () => {
  const trusting = rules("", { authorities: [authority.publicKey] });
  assert.ok(!await admitted(trusting, await certificate(["app", "root", "ann@corp.com"])));
  const named = rules("", {
    authorities: [authority.publicKey],
    principals: [{ principal: "ann@corp.com" }],
  });
  assert.ok(await admitted(named, await certificate(["ann@corp.com"])));
  for (const other of ["bob@corp.com", "ann@corp.com.evil.org", "ANN@corp.com", "ann", "app"]) {
    assert.ok(!await admitted(named, await certificate([other])), other);
  }
});

Deno.test("a principal of one account does not open another", async () => {
  const named = rules("", {
    authorities: [authority.publicKey],
    principals: [{ user: "deploy", principal: "ci" }, { principal: "ann" }],
  });
  assert.ok(await admitted(named, await certificate(["ci"]), "deploy"));
  assert.ok(!await admitted(named, await certificate(["ci"]), "app"));
  assert.ok(!await admitted(named, await certificate(["ann"]), "deploy"));
});

Deno.test("a certificate of nobody's authority is refused, whatever it says", async () => {
  const named = rules("", { principals: [{ principal: "ann" }] });
  const judged = await judgeLogin(named, await certificate(["ann"]), "app", context);
  assert.deepEqual(judged, { refused: "untrusted-authority" });
});

Deno.test("a cert-authority line takes its principals, or the login name", async () => {
  assert.ok(
    await admitted(rules(`cert-authority,principals="ops" ${authorityLine}`), await certificate(["ops"])),
  );
  assert.ok(
    !await admitted(rules(`cert-authority,principals="ops" ${authorityLine}`), await certificate(["app"])),
  );
  assert.ok(await admitted(rules(`cert-authority ${authorityLine}`), await certificate(["app"])));
  assert.ok(!await admitted(rules(`cert-authority ${authorityLine}`), await certificate(["root"])));
});

Deno.test("a certificate's limits come along: absent extensions deny", async () => {
  const named = rules("", { authorities: [authority.publicKey], principals: [{ principal: "ann" }] });
  const shown = await certificate(["ann"], { "force-command": "uptime" }, ["permit-pty"]);
  const judged = await judgeLogin(named, shown, "app", context);
  assert.ok("restrictions" in judged);
  const { permitPty, permitPortForwarding, permitAgentForwarding, forceCommand } = judged.restrictions;
  assert.deepEqual([permitPty, permitPortForwarding, permitAgentForwarding, forceCommand], [
    true,
    false,
    false,
    "uptime",
  ]);
  assert.match(judged.credential, /serial 7/);
  const elsewhere = await certificate(["ann"], { "source-address": "198.51.100.0/24" });
  assert.ok(!await admitted(named, elsewhere));
});

Deno.test("times of a certificate hold to the second", async () => {
  const named = rules("", { authorities: [authority.publicKey], principals: [{ principal: "ann" }] });
  const shown = await certificate(["ann"]);
  for (const [after, lets] of [[-61_000, false], [-60_000, true], [59_999, true], [60_000, false]] as const) {
    assert.equal(await admitted(named, shown, "app", { ...context, now: NOW + after }), lets, `${after}`);
  }
});
