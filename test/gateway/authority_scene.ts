/** A gateway with a certificate authority, and machines that join. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { type Enrolment, openEnrolment } from "../../src/ca/enrolment.ts";
import type { LocalAuthority } from "../../src/ca/local.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { OwnCertificates } from "../../src/gateway/own_certificates.ts";
import { Repeated } from "../../src/gateway/repeated.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { Signer } from "../../src/keys/types.ts";
import { withCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/keys/private_key.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { MemoryState } from "../ca/scene.ts";
import {
  startTestGateway,
  type TestClient,
  type TestGateway,
  type TestGatewayOptions,
  testKey,
} from "./in_memory.ts";

export const ann = await testKey("ann");

/** A gateway, and the authority whose certificates it gives. */
export interface Scene extends AsyncDisposable {
  readonly site: TestGateway;
  readonly authority: LocalAuthority;
  readonly enrolment: Enrolment;
}

/** Ann is the owner; others need rules. */
export async function startScene(
  options: Omit<TestGatewayOptions, "keys"> & {
    readonly users?: readonly string[];
    readonly trustDomains?: readonly string[];
    /** By which join tokens end; else by that of all. */
    readonly tokenClock?: Clock;
  } = {},
): Promise<Scene> {
  const { clock = systemClock, tokenClock = clock, domain = "gw.example", users = [] } = options;
  const store = openMemoryStore();
  const record = () => {};
  const authority = await openAuthority({
    state: new MemoryState(),
    store,
    clock: clock as Clock,
    config: { domain, trustDomain: domain, profiles: [] },
    record,
  });
  const enrolment = openEnrolment({
    store,
    clock: tokenClock,
    domain,
    hosts: () => Promise.resolve(["SHA256:host"]),
    record,
    withdraw: (...args) => authority.withdraw(...args),
  });
  const hostKey = await generatePrivateKey("ssh-ed25519");
  const own = new OwnCertificates({
    authority,
    hostKeys: [hostKey],
    domain,
    trustDomains: [domain, ...options.trustDomains ?? []],
    // HTTPS has a test of its own.
    tls: () => ({ certificate: "", privateKey: "" }),
    clock,
  });
  const site = await startTestGateway({
    ...options,
    domain,
    keys: [ann.line, ...users.map((line) => `user:${line}`)],
    hostKey,
    trust: { enrolment },
    parts: {
      authority,
      revocations: () => authority.revocations(),
      rotate: (kind, options) => authority.rotate(kind, options),
      enrolment,
      hostSigners: () => own.signers,
    },
  });
  await own.start(site.gateway);
  const again = new Repeated(clock, 10, () => site.gateway.apply({ trust: { enrolment } }));
  const stop = enrolment.watch(() => again.ask());
  return {
    site,
    authority,
    enrolment,
    async [Symbol.asyncDispose]() {
      stop();
      again.stop();
      own.stop();
      authority.close();
      await site[Symbol.asyncDispose]();
      await store.close();
    },
  };
}

/** Asks for a certificate for `key`. */
export async function certify(
  client: TestClient,
  key: PrivateKey,
  command = "cert",
): Promise<Signer & { read: Certificate }> {
  const { out, err, code } = await client.run(command, `${formatPublicKey(key.publicKey)}\n`);
  assert.equal(code, 0, err);
  const { certificate } = parsePublicKeyLine(out);
  return Object.assign(withCertificate(key, certificate!), { read: parseCertificate(certificate!) });
}
