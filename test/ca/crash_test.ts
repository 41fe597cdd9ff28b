import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { RevocationList } from "../../src/cert/revocation.ts";
import { openDatabase } from "../../src/deno/sqlite.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { temporaryFolder } from "../support/folder.ts";
import { start } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";
import { recorder } from "./scene.ts";

Deno.test("kill -9 at any instant: roots, serial numbers and revocations are as they were acknowledged", async () => {
  using folder = temporaryFolder();
  const path = folder.at("state");
  const script = new URL("issuer.ts", import.meta.url).pathname;
  const serials = new Set<string>();
  const roots = new Set<string>();
  for (let round = 0; round < 5; round++) {
    await using child = start([Deno.execPath(), "run", "--no-check", "-A", script, path], {
      env: Deno.env.toObject(),
    });
    // The first rounds die while the roots are made, the others in the middle of their work.
    const enough = 40 * (round - 1);
    if (round > 0) {
      await waitUntil("enough certificates", () => {
        if (child.exited) throw new Error(`it ended: ${child.stderr}`);
        return Promise.resolve(child.stdout.all.length > enough);
      });
    } else {
      await waitUntil("a first file", () => exists(`${path}/ca_user_1.pub`));
    }
    await child.stop("SIGKILL");

    const state = await openStateFolder(path, "lock");
    const store = await openSqliteStore(openDatabase(`${path}/store.sqlite`), { clock: systemClock });
    const config = { domain: "mesh.example", trustDomain: "prod.example", profiles: [] };
    const authority = await openAuthority({
      state,
      store,
      clock: systemClock,
      config,
      record: recorder().record,
    });
    const { user } = await authority.authorities();
    const trusted = new Set(await Promise.all(user.map((key) => key.fingerprint())));
    for (const known of roots) assert.ok(trusted.has(known), "no root is lost");
    for (const root of trusted) roots.add(root);
    const issued = store.collection("issued");
    const list = new RevocationList((await authority.revoked()).krl);
    const revoked = new Set<string>();
    for (const line of child.stdout.all) {
      if (line.startsWith("revoked ")) revoked.add(line.slice("revoked ".length));
    }
    for (const line of child.stdout.all) {
      if (!line.startsWith("issued ")) continue;
      const { certificate: blob } = parsePublicKeyLine(line.slice("issued ".length));
      // The last line may be half of one.
      if (!blob || line === child.stdout.all.at(-1)) continue;
      const certificate = parseCertificate(blob);
      const serial = `${certificate.serial}`;
      assert.ok(!serials.has(serial), "no serial number is given twice");
      serials.add(serial);
      assert.ok(await issued.get(`ssh:${serial}`), "what has left is on record");
      assert.ok(trusted.has(await certificate.signatureKey.fingerprint()), "and its root is trusted");
      assert.ok(await list.isRevoked(certificate) || !revoked.has(serial), "what was revoked stays so");
    }
    authority.close();
    await store.close();
    state.close();
  }
  assert.ok(serials.size > 200, `${serials.size}`);
  assert.ok(roots.size > 2, `${roots.size} roots`);
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
