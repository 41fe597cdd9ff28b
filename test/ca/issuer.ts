/** Issues certificates until it is killed; prints the line of each: `issuer.ts FOLDER`. */
import { openAuthority } from "../../src/ca/authority.ts";
import { openDatabase } from "../../src/deno/sqlite.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { admin, ann, recorder, remote, someKey } from "./scene.ts";

const [path] = Deno.args;
const state = await openStateFolder(path, "lock");
const authority = await openAuthority({
  clock: systemClock,
  state,
  store: await openSqliteStore(openDatabase(`${path}/store.sqlite`), { clock: systemClock }),
  record: recorder().record,
  config: { domain: "mesh.example", trustDomain: "prod.example", profiles: [] },
});
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
for (let n = 1;; n++) {
  const { line, certificate } = await authority.issueUser({ identity: ann(), publicKey: someKey, remote });
  say(`issued ${line}`);
  if (n % 10 !== 0) continue;
  const serial = certificate.serial.toString();
  await authority.revoke({ kind: "serial", serial }, admin);
  say(`revoked ${serial}`);
  if (n % 50 === 0) await authority.rotate("user", { overlap: 0 });
}
