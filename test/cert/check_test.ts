import assert from "node:assert/strict";
import { checkCertificate } from "../../src/cert/check.ts";
import { certificateRestrictions, restrictionsUnderLine } from "../../src/cert/options.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import type { CertificateFault } from "../../src/cert/types.ts";
import { readOptions } from "../../src/keys/authorized_keys_options.ts";
import { equal } from "../../src/bytes/bytes.ts";
import { authority, certificate, goodContext, holder, rawCertificate, strings } from "./material.ts";

type Fields = Parameters<typeof certificate>[0];
type Context = Partial<Parameters<typeof checkCertificate>[1]>;

const source = (list: string) => ({ criticalOptions: new Map([["source-address", list]]) });

Deno.test("each rule of a user certificate, on its own", async () => {
  const table: [name: string, fields: Fields, context: Context, fault: CertificateFault | undefined][] = [
    ["all is well", {}, {}, undefined],
    ["a host certificate", { role: "host" }, {}, "wrong-role"],
    ["asked as a host", {}, { role: "host" }, "wrong-role"],
    ["nobody trusts the authority", {}, { trusted: () => false }, "untrusted-authority"],
    ["trust that takes a moment", {}, { trusted: () => Promise.resolve(false) }, "untrusted-authority"],
    ["algorithm not allowed", {}, { signatureAlgorithms: ["rsa-sha2-512"] }, "signature-algorithm"],
    ["the second before", {}, { now: 999_999 }, "not-yet-valid"],
    ["the first second", {}, { now: 1_000_000 }, undefined],
    ["the last millisecond", {}, { now: 1_999_999 }, undefined],
    ["the second after", {}, { now: 2_000_000 }, "expired"],
    ["another principal", {}, { principals: ["root"] }, "principal"],
    ["no principal accepted", {}, { principals: [] }, "principal"],
    ["upper case", {}, { principals: ["ANN"] }, "principal"],
    ["a part of one", {}, { principals: ["group"] }, "principal"],
    ["a pattern", {}, { principals: ["*"] }, "principal"],
    ["both as one", {}, { principals: ["ann,group:ops"] }, "principal"],
    ["the second one", {}, { principals: ["x", "group:ops"] }, undefined],
    ["unknown option", { criticalOptions: new Map([["x@example.com", ""]]) }, {}, "unknown-critical-option"],
    [
      "an option named like a method",
      { criticalOptions: new Map([["toString", ""]]) },
      {},
      "unknown-critical-option",
    ],
    [
      "known options",
      { criticalOptions: new Map([["force-command", "ls"], ["verify-required", ""]]) },
      {},
      undefined,
    ],
    ["unknown extension", { extensions: new Map([["x@example.com", "y"]]) }, {}, undefined],
    ["inside", source("192.0.2.0/24,10.0.0.0/8"), {}, undefined],
    ["outside", source("192.0.2.0/24"), {}, "source-address"],
    ["nowhere", source(""), {}, "source-address"],
    ["from nobody knows where", source("0.0.0.0/0"), { peerAddress: undefined }, "source-address"],
    ["a list with a hole", source("10.0.0.0/8,x"), {}, "source-address"],
    ["revoked", {}, { revoked: () => true }, "revoked"],
    ["revoked after a moment", {}, { revoked: () => Promise.resolve(true) }, "revoked"],
    ["not revoked", {}, { revoked: () => false }, undefined],
  ];
  for (const [name, fields, context, fault] of table) {
    assert.equal(
      await checkCertificate(await certificate(fields), { ...goodContext, ...context }),
      fault,
      name,
    );
  }
});

Deno.test("what only a careless authority signs is refused as well", async () => {
  const empty = parseCertificate(await rawCertificate({ principals: strings() }));
  assert.equal(await checkCertificate(empty, goodContext), "no-principals");
  const comma = parseCertificate(await rawCertificate({ principals: strings("deploy,root") }));
  for (const principal of ["root", "deploy"]) {
    assert.equal(await checkCertificate(comma, { ...goodContext, principals: [principal] }), "principal");
  }
  assert.equal(await checkCertificate(comma, { ...goodContext, principals: ["deploy,root"] }), undefined);
  const bare = parseCertificate(await rawCertificate({ criticalOptions: strings("source-address", "") }));
  assert.equal(await checkCertificate(bare, goodContext), "source-address");
  const binary = parseCertificate(
    await rawCertificate({ criticalOptions: strings("force-command", strings(new Uint8Array([0xff]))) }),
  );
  assert.equal(await checkCertificate(binary, goodContext), "unknown-critical-option");
});

Deno.test("host certificates: the name exactly, and no critical option at all", async () => {
  const fields = { role: "host" as const, principals: ["web.example.com"] };
  const context = { ...goodContext, role: "host" as const, peerAddress: undefined };
  const check = async (principals: string[], blob?: Awaited<ReturnType<typeof rawCertificate>>) =>
    await checkCertificate(blob ? parseCertificate(blob) : await certificate(fields), {
      ...context,
      principals,
    });
  assert.equal(await check(["web.example.com"]), undefined);
  assert.equal(await check(["example.com"]), "principal");
  assert.equal(await check(["*.example.com"]), "principal");
  assert.equal(
    await check(["web.example.com"], await rawCertificate({ role: 2, principals: strings() })),
    "no-principals",
  );
  for (const option of ["force-command", "source-address", "verify-required", "x"]) {
    const blob = await rawCertificate({
      role: 2,
      principals: strings("web.example.com"),
      criticalOptions: strings(option, ""),
    });
    assert.equal(await check(["web.example.com"], blob), "unknown-critical-option");
  }
});

Deno.test("trust is asked for the key that signed", async () => {
  const good = await certificate();
  const trusted = (key: { blob: typeof good.blob }) => equal(key.blob, authority.publicKey.blob);
  assert.equal(await checkCertificate(good, { ...goodContext, trusted }), undefined);
  const forged = await certificate({}, holder);
  assert.equal(await checkCertificate(forged, { ...goodContext, trusted }), "untrusted-authority");
  // The authority's name with somebody else's signature.
  const stolen = await rawCertificate({ authorityBlob: holder.publicKey.blob });
  assert.equal(await checkCertificate(parseCertificate(stolen), goodContext), "bad-signature");
});

Deno.test("extensions permit, absent ones deny, options limit", async () => {
  const nothing = certificateRestrictions(await certificate());
  assert.deepEqual(
    [
      nothing.permitPty,
      nothing.permitPortForwarding,
      nothing.permitAgentForwarding,
      nothing.permitX11Forwarding,
    ],
    [false, false, false, false],
  );
  assert.equal(nothing.forceCommand, undefined);
  const some = certificateRestrictions(
    await certificate({
      extensions: new Map([["permit-pty", ""], ["permit-port-forwarding", ""], ["unknown", "x"], [
        "no-touch-required",
        "",
      ]]),
      criticalOptions: new Map([["force-command", "ls"], ["verify-required", ""]]),
    }),
  );
  assert.equal(
    some.permitPty && some.permitPortForwarding && some.verifyRequired && some.noTouchRequired,
    true,
  );
  assert.equal(some.permitAgentForwarding || some.permitX11Forwarding || some.permitUserRc, false);
  assert.equal(some.forceCommand, "ls");
});

Deno.test("a line and a certificate together permit what both do", async () => {
  const read = await certificate({
    extensions: new Map([["permit-pty", ""], ["permit-port-forwarding", ""]]),
    criticalOptions: new Map([["force-command", "ls"]]),
  });
  const under = (options: string) => restrictionsUnderLine(read, readOptions(options));
  assert.equal(under("cert-authority")?.permitPty, true);
  assert.equal(under("cert-authority,no-pty")?.permitPty, false);
  assert.equal(under("cert-authority,agent-forwarding")?.permitAgentForwarding, false);
  assert.equal(under('cert-authority,command="ls"')?.forceCommand, "ls");
  assert.equal(under('cert-authority,command="sh"'), undefined);
  assert.deepEqual(under('cert-authority,permitopen="h:1"')?.permitOpen, [{ host: "h", port: 1 }]);
});
