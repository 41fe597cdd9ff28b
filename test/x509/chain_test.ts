import assert from "node:assert/strict";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { readCertificate, readCertificates } from "../../src/x509/certificate.ts";
import { verifyClientChain } from "../../src/x509/chain.ts";
import { X509Error, type X509ErrorCode } from "../../src/x509/error.ts";
import { HOUR, testAuthority } from "../support/authority.ts";
import { type CertificateSpec, derOf, OpensslFolder, signedLength } from "../support/openssl.ts";
import { openssl, peerTest } from "../support/peers.ts";

const AUTHORITY = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign"];
const CLIENT = [
  "basicConstraints=critical,CA:false",
  "keyUsage=critical,digitalSignature",
  "extendedKeyUsage=clientAuth",
  "subjectAltName=email:ann@mycorp.com",
];

function refused(code: X509ErrorCode) {
  return (error: unknown) => error instanceof X509Error && error.code === code;
}

/** CLIENT with one line in place of the one that sets the same, or without it. */
function clientBut(setting: string, line?: string): string[] {
  const kept = CLIENT.filter((each) => !each.startsWith(setting));
  return line === undefined ? kept : [...kept, line];
}

peerTest("chains: each valid but for one thing", [openssl], async (t) => {
  using folder = new OpensslFolder();
  const authorities: CertificateSpec[] = [
    { name: "root", extensions: AUTHORITY },
    { name: "other", extensions: AUTHORITY, subject: "/CN=root" },
    { name: "middle", issuer: "root", extensions: AUTHORITY },
    { name: "low", issuer: "middle", extensions: AUTHORITY },
    { name: "narrow", issuer: "root", extensions: ["basicConstraints=critical,CA:true,pathlen:0"] },
    { name: "below-narrow", issuer: "narrow", extensions: AUTHORITY },
    { name: "old", issuer: "root", extensions: AUTHORITY, days: -1 },
    {
      name: "no-sign",
      issuer: "root",
      extensions: ["basicConstraints=critical,CA:true", "keyUsage=digitalSignature"],
    },
    { name: "servers", issuer: "root", extensions: [...AUTHORITY, "extendedKeyUsage=serverAuth"] },
    { name: "clients", issuer: "root", extensions: [...AUTHORITY, "extendedKeyUsage=clientAuth"] },
    {
      name: "limited",
      issuer: "root",
      extensions: [...AUTHORITY, "nameConstraints=critical,permitted;email:mycorp.com"],
    },
    {
      name: "limited-softly",
      issuer: "root",
      extensions: [...AUTHORITY, "nameConstraints=permitted;email:mycorp.com"],
    },
    { name: "rsa", extensions: AUTHORITY, key: ["RSA", "rsa_keygen_bits:2048"] },
    { name: "ed25519", extensions: AUTHORITY, key: ["ED25519"] },
    { name: "p384", extensions: AUTHORITY, key: ["EC", "ec_paramgen_curve:P-384"], digest: "-sha384" },
    { name: "weak", extensions: AUTHORITY, key: ["RSA", "rsa_keygen_bits:1024"] },
  ];
  for (const authority of authorities) await folder.make(authority);
  const verify = (
    leaf: string,
    above: readonly string[],
    roots: readonly string[],
    now = Date.now() + 60_000,
  ) =>
    verifyClientChain([leaf, ...above].map((name) => folder.der(name)), {
      now,
      roots: roots.map((name) => readCertificate(folder.der(name))),
    });

  const client = async (issuer: string, spec: Partial<CertificateSpec> = {}) => {
    const name = `client-${crypto.randomUUID()}`;
    await folder.make({ name, issuer, extensions: CLIENT, ...spec });
    return name;
  };

  const good: [string, string, string[], string[]][] = [
    ["signed by a root", "root", [], ["root"]],
    ["the root sent along", "root", ["root"], ["root"]],
    ["by an intermediate", "middle", ["middle"], ["root"]],
    ["by two, in any order", "low", ["middle", "low"], ["root"]],
    ["an intermediate that is trusted itself", "low", ["low", "middle"], ["middle"]],
    ["another root of the same name first", "root", [], ["other", "root"]],
    ["an authority for clients", "clients", ["clients"], ["root"]],
    ["RSA", "rsa", [], ["rsa"]],
    ["Ed25519", "ed25519", [], ["ed25519"]],
    ["P-384 and SHA-384", "p384", [], ["p384"]],
  ];
  for (const [name, issuer, above, roots] of good) {
    await t.step(`good: ${name}`, async () => {
      const leaf = await client(issuer);
      const { root } = await verify(leaf, above, roots);
      assert.ok(roots.some((each) => root.equal(readCertificate(folder.der(each)))));
    });
  }
  const days = { days: 3 };
  await t.step("it expires when the first of the chain does", async () => {
    const leaf = await client("middle", days);
    const { expiresAt } = await verify(leaf, ["middle"], ["root"]);
    assert.equal(expiresAt, readCertificate(folder.der(leaf)).notAfter.getTime());
    await assert.rejects(verify(leaf, ["middle"], ["root"], expiresAt), refused("time"));
    await verify(leaf, ["middle"], ["root"], expiresAt - 1);
  });

  const bad: [string, X509ErrorCode, string, string[], string[], Partial<CertificateSpec>?][] = [
    ["another root of the same name", "untrusted", "root", [], ["other"]],
    ["no intermediate", "untrusted", "middle", [], ["root"]],
    ["no root at all", "untrusted", "root", [], []],
    ["self-signed, and nobody's", "untrusted", "root", [], ["root"], { issuer: undefined }],
    ["an expired intermediate", "time", "old", ["old"], ["root"]],
    ["expired", "time", "root", [], ["root"], { days: -1 }],
    ["a path that is too long", "purpose", "below-narrow", ["below-narrow", "narrow"], ["root"]],
    ["an authority that may not sign", "purpose", "no-sign", ["no-sign"], ["root"]],
    ["an authority for servers", "purpose", "servers", ["servers"], ["root"]],
    ["name constraints", "critical", "limited", ["limited"], ["root"]],
    ["name constraints that are not critical", "critical", "limited-softly", ["limited-softly"], ["root"]],
    ["a weak root", "algorithm", "weak", [], ["weak"]],
    ["signed with SHA-1", "untrusted", "root", [], ["root"], { digest: "-sha1" }],
    ["an authority's own certificate", "purpose", "root", [], ["root"], { extensions: AUTHORITY }],
    ["for servers alone", "purpose", "root", [], ["root"], {
      extensions: clientBut("extendedKeyUsage", "extendedKeyUsage=serverAuth"),
    }],
    ["for nothing in particular", "purpose", "root", [], ["root"], {
      extensions: clientBut("extendedKeyUsage"),
    }],
    ["a key for encryption", "purpose", "root", [], ["root"], {
      extensions: clientBut("keyUsage", "keyUsage=keyEncipherment"),
    }],
    ["a key that signs certificates", "purpose", "root", [], ["root"], {
      extensions: clientBut("keyUsage", "keyUsage=digitalSignature,keyCertSign"),
    }],
    ["a critical extension that nobody knows", "critical", "root", [], ["root"], {
      extensions: [...CLIENT, "1.2.3.4.5=critical,ASN1:UTF8String:x"],
    }],
    ["critical policies", "critical", "root", [], ["root"], {
      extensions: [...CLIENT, "certificatePolicies=critical,1.2.3.4"],
    }],
    ["a weak key", "algorithm", "root", [], ["root"], { key: ["RSA", "rsa_keygen_bits:1024"] }],
  ];
  for (const [name, code, issuer, above, roots, spec] of bad) {
    await t.step(`refused: ${name}`, async () => {
      await assert.rejects(verify(await client(issuer, spec), above, roots), refused(code));
    });
  }
  await t.step("refused: a client's certificate as an authority", async () => {
    const parent = await client("root");
    const leaf = await client(parent);
    await assert.rejects(verify(leaf, [parent], ["root"]), refused("purpose"));
  });
  await t.step("refused: more certificates than a chain has", async () => {
    const leaf = await client("root");
    await assert.rejects(
      verify(leaf, Array.from({ length: 8 }, () => "middle"), ["root"]),
      refused("malformed"),
    );
  });
  await t.step("an unknown extension that is not critical changes nothing", async () => {
    const leaf = await client("root", { extensions: [...CLIENT, "1.2.3.4.5=ASN1:UTF8String:x"] });
    await verify(leaf, [], ["root"]);
  });
});

/** A chain of our own making. */
async function ownChain(): Promise<{ der: Bytes; check: (der: Bytes) => Promise<unknown> }> {
  const now = Date.now();
  const authority = await testAuthority({ now });
  const der = derOf((await authority.issue({ lifetime: HOUR })).certificate);
  const roots = readCertificates(authority.certificate);
  return { der, check: (certificate) => verifyClientChain([certificate], { now, roots }) };
}

Deno.test("every truncation of a certificate is an error of ours", async () => {
  const { der, check } = await ownChain();
  await check(der);
  for (let length = 0; length < der.length; length++) {
    await assert.rejects(check(der.slice(0, length)), X509Error, `${length} bytes`);
  }
});

Deno.test("a flipped bit in any byte of a certificate is an error of ours, unless the signature does not cover it", async () => {
  const { der, check } = await ownChain();
  const signed = signedLength(der);
  assert.ok(signed > 120 && signed < der.length - 64);
  // One of each byte, another one each time.
  for (let at = 0, bit = 0; at < der.length; bit = 8 * ++at + at % 8) {
    const flipped = der.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    const error = await check(flipped).then(() => undefined, (error) => error);
    // The signature's own encoding is BER to the library: it says the same.
    if (error === undefined) assert.ok(bit >> 3 >= signed, `bit ${bit} is accepted`);
    else assert.ok(error instanceof X509Error, `bit ${bit}: ${error}`);
  }
});
