/** What the running gateway knows identities by, put together from its configuration. */
import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { systemFiles } from "../../src/deno/files.ts";
import { httpsClient } from "../../src/deno/https_client.ts";
import { resolveConfig } from "../../src/gateway/config.ts";
import { GatewayIdentities } from "../../src/gateway/identities.ts";
import { makeKeyring } from "../../src/gateway/keyring_files.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { Audit } from "../../src/telemetry/audit.ts";
import { MemoryState } from "../ca/scene.ts";
import { temporaryFolder } from "../support/folder.ts";

Deno.test("no token calls its bearer like a node, where the trust domain is not the gateway's domain", async () => {
  using folder = temporaryFolder();
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const jwks = { keys: [{ ...await exportJWK(publicKey), kid: "1", alg: "ES256", use: "sig" }] };
  const issuer = "https://login.example";
  const config = resolveConfig({
    flags: { domain: "gw.example", trust_domain: "prod.example" },
    environment: () => undefined,
    file: {
      path: "gateway.yaml",
      text: JSON.stringify({ issuers: [{ issuer, jwks: folder.write("jwks", JSON.stringify(jwks)) }] }),
    },
    defaultState: folder.path,
  });
  const store = openMemoryStore();
  await using _store = { [Symbol.asyncDispose]: () => store.close() };
  using identities = await GatewayIdentities.open({
    config,
    hostKeys: [],
    state: new MemoryState() as never,
    store,
    files: systemFiles,
    https: httpsClient,
    fetch: () => Promise.reject(new Error("nothing is fetched")),
    clock: systemClock,
    audit: new Audit({ clock: systemClock, write: () => {} }),
  });
  const { tokens } = identities.trust(makeKeyring([], config.trustDomain), config.listen);
  const nameOf = async (sub: string) => {
    const token = await new SignJWT().setProtectedHeader({ alg: "ES256", kid: "1" }).setIssuer(issuer)
      .setSubject(sub).setAudience("ssh://gw.example").setIssuedAt().setExpirationTime("1h").sign(
        privateKey,
      );
    return (await tokens!.verifier.verify(token, Date.now())).identity.name;
  };
  assert.equal(await nameOf("web"), "web");
  await assert.rejects(nameOf("web.gw.example"), /would read as a node of gw\.example/);
});
