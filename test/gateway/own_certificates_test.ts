/** The gateway's own certificates when its authority is away, comes back, or takes one back. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { CaError, type CertificateAuthority } from "../../src/ca/types.ts";
import { HostCertificates } from "../../src/gateway/host_certificates.ts";
import { AuthorityFollower, readAuthority } from "../../src/gateway/own_authority.ts";
import { TlsCertificate } from "../../src/gateway/tls_identity.ts";
import type { OwnAuthority } from "../../src/gateway/trust.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { MemoryState } from "../ca/scene.ts";
import { LONGEST_NAP } from "../../src/platform/clock.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";

const domain = "gw.example";
const key = await generatePrivateKey("ssh-ed25519");
const HOUR = 3_600_000;

/** An authority that can be away. */
async function makeScene() {
  const clock = new FakeClock(Date.now());
  const store = openMemoryStore();
  const real = await openAuthority({
    state: new MemoryState(),
    store,
    clock,
    config: { domain, trustDomain: domain, profiles: [] },
    record: () => {},
  });
  let away = false;
  const authority = new Proxy<CertificateAuthority>(real, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (away && name !== "watch") return () => Promise.reject(new CaError("unavailable", "it is away"));
      return member.bind(target);
    },
  });
  return {
    clock,
    authority,
    real,
    leave: (lasting: boolean) => void (away = lasting),
    now: () => readAuthority({ authority: real, domain, trustDomains: () => [] }),
    async [Symbol.asyncDispose]() {
      real.close();
      await store.close();
    },
  };
}

Deno.test("a host certificate is renewed before it ends, and is not shown when it has ended", async () => {
  await using scene = await makeScene();
  const { clock } = scene;
  const host = new HostCertificates({ keys: [key], authority: scene.authority, domain, clock });
  const serial = () => {
    const [{ certificate }] = host.signers;
    return certificate && parseCertificate(certificate).serial;
  };
  assert.equal(serial(), undefined, "plain until there is one");
  scene.leave(true);
  await host.renew();
  assert.equal(serial(), undefined);
  scene.leave(false);
  await clock.advance(2_000);
  await waitUntil("the first", () => serial() !== undefined);
  const first = serial();
  scene.leave(true);
  await clock.advance(20 * HOUR);
  assert.equal(serial(), first, "it still counts while the authority is away");
  await clock.advance(5 * HOUR);
  assert.equal(serial(), undefined, "it has ended; the plain key is shown");
  scene.leave(false);
  await clock.advance(120_000);
  await waitUntil("another", () => serial() !== undefined);
  assert.notEqual(serial(), first);
  host.stop();
});

Deno.test("a machine that slept beyond the end of its certificates gets others soon after", async () => {
  await using scene = await makeScene();
  const { authority, clock } = scene;
  const host = new HostCertificates({ keys: [key], authority, domain, clock });
  const tls = new TlsCertificate({ authority, domain, clock });
  await Promise.all([host.renew(), tls.renew()]);
  clock.jump(30 * HOUR);
  assert.deepEqual([host.signers[0].certificate, tls.identity], [undefined, undefined]);
  await clock.advance(LONGEST_NAP);
  await waitUntil("others", () => host.signers[0].certificate !== undefined && tls.identity !== undefined);
  host.stop();
  tls.stop();
});

Deno.test("a host certificate that was revoked is replaced", async () => {
  await using scene = await makeScene();
  const host = new HostCertificates({ keys: [key], authority: scene.authority, domain, clock: scene.clock });
  await host.renew();
  const { serial } = parseCertificate(host.signers[0].certificate!);
  await host.check(await scene.now());
  assert.equal(parseCertificate(host.signers[0].certificate!).serial, serial);
  await scene.real.revoke({ kind: "serial", serial: serial.toString() }, { name: "ann", remote: "test" });
  await host.check(await scene.now());
  assert.notEqual(parseCertificate(host.signers[0].certificate!).serial, serial);
  host.stop();
});

Deno.test("the certificate for HTTPS is renewed in time, and replaced when its root is gone", async () => {
  await using scene = await makeScene();
  const tls = new TlsCertificate({ authority: scene.authority, domain, clock: scene.clock });
  assert.equal(tls.identity, undefined);
  await tls.renew();
  const first = tls.identity;
  await tls.check(await scene.now());
  assert.equal(tls.identity, first);
  await scene.clock.advance(17 * HOUR);
  await waitUntil("another", () => tls.identity !== first);
  const second = tls.identity;
  await tls.check({ ...await scene.now(), x509: [] });
  assert.notEqual(tls.identity, second);
  tls.stop();
});

Deno.test("an authority that cannot be asked is asked again, and what it last said counts meanwhile", async () => {
  await using scene = await makeScene();
  const heard: OwnAuthority[] = [];
  const follower = new AuthorityFollower({
    authority: scene.authority,
    clock: scene.clock,
    domain,
    trustDomains: () => [],
    onChange: (state) => Promise.resolve(void heard.push(state)),
  });
  scene.leave(true);
  await follower.refresh();
  assert.equal(heard.length, 0);
  scene.leave(false);
  await scene.clock.advance(1_000);
  await waitUntil("the first word", () => heard.length === 1);
  scene.leave(true);
  await scene.real.revoke({ kind: "serial", serial: "7" }, { name: "ann", remote: "test" });
  await settle();
  assert.equal(heard.length, 1);
  scene.leave(false);
  await scene.clock.advance(30_000);
  await waitUntil("the next word", () => heard.length > 1);
  follower.stop();
  const count = heard.length;
  await scene.real.revoke({ kind: "serial", serial: "8" }, { name: "ann", remote: "test" });
  await settle();
  assert.equal(heard.length, count);
});
