/** Roots and keys that take over from others. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import type { Authorities } from "../../src/ca/types.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { settle } from "../support/fake_clock.ts";
import { csr, fault, user } from "./requests.ts";
import { DAY, HOUR, remote, scene, workload } from "./scene.ts";

Deno.test("rotation under way: old and new are trusted, the old one signs, then the new one, then the old one goes", async () => {
  using made = await scene();
  const { authority, clock } = made;
  const prints = async (list: Authorities["user"]) => await Promise.all(list.map((key) => key.fingerprint()));
  const signer = async () => await (await authority.issueUser(user())).certificate.signatureKey.fingerprint();
  let heard = 0;
  authority.watch(() => heard++);
  const [old] = await prints((await authority.authorities()).user);
  const before = (await authority.issueUser(user(workload()))).certificate;

  await authority.rotate("user", { overlap: HOUR });
  const both = await prints((await authority.authorities()).user);
  assert.equal(both.length, 2);
  assert.equal(both[0], old);
  assert.equal(await signer(), old);
  assert.equal(heard, 1);

  // Restart in the middle of it: nothing is forgotten.
  const restarted = await openAuthority(made.parts);
  assert.deepEqual(await prints((await restarted.authorities()).user), both);
  restarted.close();

  await clock.advance(HOUR);
  assert.equal(heard, 2, "it is told when the new one begins to sign");
  assert.equal(await signer(), both[1]);
  assert.deepEqual(await prints((await authority.authorities()).user), [both[1], old]);
  assert.equal(await fault(made, before, "web@shop.prod.example"), undefined);

  await clock.advance(7 * DAY);
  assert.equal(heard, 3, "it is told when the old one is dropped");
  assert.deepEqual(await prints((await authority.authorities()).user), [both[1]]);
  const dropped = made.state.files.get("ca_user_1")!;
  assert.ok(dropped.length > 0);
  (await openAuthority(made.parts)).close();
  assert.equal(
    made.state.files.get("ca_user_1")!.length,
    0,
    "the next start forgets its private key",
  );
});

Deno.test("rotating under live traffic: every certificate that leaves counts at once, and after", async () => {
  using made = await scene();
  const { authority } = made;
  const issued: Certificate[] = [];
  let goOn = true;
  const traffic = Array.from({ length: 8 }, async () => {
    while (goOn) {
      const { certificate } = await authority.issueUser(user());
      assert.equal(await fault(made, certificate, "ann@mycorp.example"), undefined);
      issued.push(certificate);
      await settle();
    }
  });
  // Twice as many as are under way at once: some were asked for and signed in between.
  const more = async () => {
    const enough = issued.length + 2 * traffic.length;
    while (issued.length < enough) await Promise.race([settle(), Promise.all(traffic)]);
  };
  await more();
  for (const overlap of [0, HOUR, 0, 0]) {
    await authority.rotate("user", { overlap });
    await more();
  }
  goOn = false;
  await Promise.all(traffic);
  for (const certificate of issued) {
    assert.equal(await fault(made, certificate, "ann@mycorp.example"), undefined);
  }
  const signers = new Set(issued.map(({ signatureKey }) => formatPublicKey(signatureKey)));
  assert.equal(signers.size, 4, "the first root and the three that signed at once");
});

Deno.test("rotating X.509 roots: chains lead to the new one, both are trusted", async () => {
  using made = await scene();
  const { authority } = made;
  const [old] = (await authority.authorities()).x509;
  await authority.rotate("x509", { overlap: 0 });
  const { x509 } = await authority.authorities();
  assert.equal(x509.length, 2);
  assert.equal(x509[1], old);
  const issued = await authority.issueX509({ identity: workload(), csr: await csr(), names: [], remote });
  assert.deepEqual(issued.chain, [x509[0]]);
});

Deno.test("a closed authority leaves no timer behind", async () => {
  const made = await scene();
  await made.authority.rotate("host");
  assert.equal(made.clock.pending, 2, "the next root, and forgetting");
  made.authority.close();
  assert.equal(made.clock.pending, 0);
});
