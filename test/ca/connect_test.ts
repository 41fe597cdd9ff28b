/** A gateway's way to an authority elsewhere. */
import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { type ConnectedAuthority, connectRemoteAuthority } from "../../src/ca/connect.ts";
import { CREDENTIAL_FILE } from "../../src/ca/gateway_credential.ts";
import { httpsClient } from "../../src/deno/https_client.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import type { Https } from "../../src/platform/https.ts";
import { identity } from "../api/scene.ts";
import { testAuthority } from "../support/authority.ts";
import { temporaryFolder } from "../support/folder.ts";
import { meshEnvironment } from "../support/mesh.ts";
import { succeed } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";
import { line, startAuthority } from "./running_authority.ts";

/** A state folder in memory. */
function memoryState() {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    files,
    read: (name: string) => Promise.resolve(files.get(name)),
    write: (name: string, content: Uint8Array<ArrayBuffer>) => Promise.resolve(void files.set(name, content)),
  };
}

/** Time as it is, but for long waits: they last a quarter of a second. */
class HastyClock implements Clock {
  now = systemClock.now;
  monotonic = systemClock.monotonic;
  after = (ms: number, callback: () => void) => systemClock.after(ms > 10_000 ? 250 : ms, callback);
  sleep = systemClock.sleep;
}

type Connecting = Partial<Parameters<typeof connectRemoteAuthority>[0]> & { readonly url: string };

async function connect(options: Connecting): Promise<ConnectedAuthority & Disposable> {
  const connected = await connectRemoteAuthority({
    https: httpsClient,
    state: memoryState(),
    clock: systemClock,
    ...options,
  });
  return { ...connected, [Symbol.dispose]: () => connected.close() };
}

Deno.test("a gateway joins with a token, gets certificates for its clients, and needs no token any more", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const key = (await generatePrivateKey("ssh-ed25519")).publicKey;
  {
    using connected = await connect({ url: ca.url, token: await ca.token("gw1"), state });
    const { authority } = connected;
    const { user, x509 } = await authority.authorities();
    const { certificate } = await authority.issueUser({
      identity: identity({ groups: ["sre"] }),
      publicKey: key,
      remote: "10.0.0.7:1",
    });
    assert.deepEqual(certificate.principals, ["ann@mycorp.com", "group:sre"]);
    assert.deepEqual(certificate.signatureKey.blob, user[0].blob);
    const host = await authority.issueHost({
      identity: identity(),
      publicKey: key,
      names: ["web.mesh.example"],
      remote: "10.0.0.7:1",
    });
    assert.deepEqual(host.certificate.principals, ["web.mesh.example"]);
    assert.equal(x509.length, 1);
    // What counts no more here counts no more there, for whoever watches too.
    let heard = 0;
    const stop = authority.watch(() => heard++);
    await authority.revoke({ kind: "key-id", keyId: "ann" }, { name: "ann", remote: "x" }, "left");
    await waitUntil("the revocation", () => heard > 0);
    const { krl } = await authority.revoked();
    assert.ok(krl.certificates.some(({ keyIds }) => keyIds.includes("ann")));
    stop();
  }
  using again = await connect({ url: ca.url, state });
  await again.authority.issueUser({ identity: identity(), publicKey: key, remote: "x" });
  const records = ca.records();
  const events = records.map(({ event }) => event);
  for (const event of ["join_token.created", "key.enrolled", "cert.issued", "cert.revoked"]) {
    assert.ok(events.includes(event), `no ${event} in ${events}`);
  }
  const revoked = records.find(({ event }) => event === "cert.revoked")!;
  assert.equal(revoked.by, "ann by gw1.localhost");
});

Deno.test("a token of another authority goes to nobody, and neither does one of somebody in between", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const token = await ca.token("gw1");
  const content = JSON.parse(atob(token.slice("sshm1.".length).replaceAll("-", "+").replaceAll("_", "/")));
  const other = `sshm1.${
    btoa(JSON.stringify({ ...content, h: [`SHA256:${"A".repeat(43)}`] })).replace(/=+$/, "")
  }`;
  const sent: string[] = [];
  const spying: Https = (options) => {
    const client = httpsClient(options);
    return {
      ...client,
      fetch(url, request) {
        sent.push(request.headers?.authorization ?? "nothing");
        return client.fetch(url, request);
      },
    };
  };
  const joining = connect({ url: ca.url, token: other, https: spying });
  await assert.rejects(joining, { code: "unavailable", message: /no root that the join token names/ });
  assert.deepEqual(sent, ["nothing"]);
  // And a root that is pinned by a file is the only one.
  const roots = [(await testAuthority()).certificate];
  await assert.rejects(connect({ url: ca.url, token, roots, https: spying }), { code: "unavailable" });
  using _ = await connect({ url: ca.url, token });
});

Deno.test("a token works once, for its own name, and is gone with all that came of it when it is removed", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const token = await ca.token("gw1");
  const state = memoryState();
  using connected = await connect({ url: ca.url, token, state });
  await assert.rejects(connect({ url: ca.url, token }), { code: "unavailable", message: /used/ });
  await assert.rejects(connect({ url: ca.url }), { code: "unavailable", message: /make a join token there/ });
  const env = meshEnvironment(folder.path);
  const listed = JSON.parse(
    (await succeed(line("token", "ls", "--json", "--state", ca.state), { env })).text,
  );
  assert.deepEqual(listed.map(({ name }: { name: string }) => name), ["gw1.localhost"]);
  assert.ok(listed[0].used);
  await succeed(line("token", "rm", listed[0].id, "--state", ca.state), { env });
  const key = (await generatePrivateKey("ssh-ed25519")).publicKey;
  await waitUntil("that it is taken back", async () => {
    try {
      await connected.authority.issueUser({ identity: identity(), publicKey: key, remote: "x" });
    } catch (error) {
      assert.match((error as Error).message, /does not accept this gateway/);
      return true;
    }
  });
});

Deno.test("a gateway's certificate renews itself at two thirds of its life, with the same key", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token, state })).close();
  const credential = () => JSON.parse(new TextDecoder().decode(state.files.get(CREDENTIAL_FILE)));
  const before = credential();
  const { certificate, renew } = before.certified;
  const day = 86_400_000;
  assert.ok(Math.abs(Date.parse(renew) - Date.now() - day * 2 / 3) < 60_000, renew);
  const due = { ...before, certified: { ...before.certified, renew: new Date(0).toISOString() } };
  state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(due)));
  using _ = await connect({ url: ca.url, state });
  await waitUntil("the renewal", () => credential().certified.certificate !== certificate);
  const after = credential();
  assert.equal(after.private_key, before.private_key);
  assert.ok(Date.parse(after.certified.renew) > Date.now());
});

Deno.test("who did not hear the answer, or was away too long, comes again with the same token and key", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token, state })).close();
  const { certified, ...key } = JSON.parse(new TextDecoder().decode(state.files.get(CREDENTIAL_FILE)));
  const expired = { ...certified, expires: new Date(0).toISOString() };
  for (const kept of [key, { ...key, certified: expired }]) {
    state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(kept)));
    await assert.rejects(connect({ url: ca.url, state }), { message: /make a join token there/ });
    (await connect({ url: ca.url, token, state })).close();
  }
  // Another machine has another key.
  await assert.rejects(connect({ url: ca.url, token }), { message: /used/ });
  // And the key alone, with another's token, is nobody new.
  state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(key)));
  const second = connect({ url: ca.url, token: await ca.token("gw2"), state });
  await assert.rejects(second, { message: /enrolled already, as gw1\.localhost/ });
});

Deno.test("a gateway whose certificate ran out while the authority was away starts all the same, and joins again", async () => {
  using folder = temporaryFolder();
  const state = memoryState();
  let url: string;
  let token: string;
  {
    await using ca = await startAuthority(folder);
    [url, token] = [ca.url, await ca.token("gw1")];
    (await connect({ url, token, state })).close();
  }
  const kept = JSON.parse(new TextDecoder().decode(state.files.get(CREDENTIAL_FILE)));
  kept.certified.expires = kept.certified.renew = new Date(0).toISOString();
  state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(kept)));
  const clock = new HastyClock();
  const troubles: (string | undefined)[] = [];
  using connected = await connect({
    url,
    token,
    state,
    clock,
    onTrouble: (error) => troubles.push(error?.message),
  });
  assert.match(troubles[0]!, /cannot be reached/);
  assert.equal((await connected.authority.authorities()).user.length, 1);
  await using _ = await startAuthority(folder, "--listen", `127.0.0.1:${new URL(url).port}`);
  const publicKey = (await generatePrivateKey("ssh-ed25519")).publicKey;
  await waitUntil("that it has joined", async () => {
    const asked = connected.authority.issueUser({ identity: identity(), publicKey, remote: "x" });
    return await asked.then(() => true, () => false);
  });
});

Deno.test("while the authority is away, what it last said counts, over a restart too; then it is back", async () => {
  using folder = temporaryFolder();
  const state = memoryState();
  let url: string;
  {
    await using ca = await startAuthority(folder);
    url = ca.url;
    (await connect({ url, token: await ca.token("gw1"), state })).close();
  }
  const troubles: (string | undefined)[] = [];
  using connected = await connect({ url, state, onTrouble: (error) => troubles.push(error?.message) });
  const { authority } = connected;
  const { user } = await authority.authorities();
  const publicKey = (await generatePrivateKey("ssh-ed25519")).publicKey;
  const asked = () => authority.issueUser({ identity: identity(), publicKey, remote: "x" });
  await assert.rejects(asked(), { code: "unavailable", message: /cannot be reached/ });
  assert.match(troubles[0]!, /cannot be reached/);
  await using _ = await startAuthority(folder, "--listen", `127.0.0.1:${new URL(url).port}`);
  await waitUntil("that it is back", () => troubles.includes(undefined));
  const { certificate } = await asked();
  assert.deepEqual(certificate.signatureKey.blob, user[0].blob);
});

Deno.test("with a policy, the policy says which gateways may vouch, and a change of it counts at once", async () => {
  using folder = temporaryFolder();
  const policy = folder.write("policy.yaml", "rules: []\n", 0o644);
  await using ca = await startAuthority(folder, "--policy", policy);
  const state = memoryState();
  const token = await ca.token("gw1");
  // Whom to trust is for everybody, what is revoked is not: it has nothing to go by.
  await assert.rejects(connect({ url: ca.url, token, state }), { message: /not permitted to/ });
  folder.write(
    "policy.yaml",
    "rules: [{ name: gw1, who: { issuer: enrolled, name: gw1.localhost }, may: [assert] }]\n",
    0o644,
  );
  const connected = await waitUntil(
    "the new policy",
    () => connect({ url: ca.url, state }).catch(() => undefined),
  );
  connected.close();
});

Deno.test("the secret of a token is in no record, no log and no database", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token })).close();
  const { s: secret } = JSON.parse(
    atob(token.slice("sshm1.".length).replaceAll("-", "+").replaceAll("_", "/")),
  );
  for (const { name } of Deno.readDirSync(ca.state)) {
    const content = new TextDecoder("latin1").decode(Deno.readFileSync(`${ca.state}/${name}`));
    assert.ok(!content.includes(secret), name);
  }
  assert.ok(![...ca.process.stdout.all, ...ca.process.stderr.all].join("\n").includes(secret));
});
