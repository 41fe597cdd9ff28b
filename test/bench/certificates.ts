/**
 * SSH certificates issued per second: our authority, with its records in SQLite, beside `ssh-keygen -s` in one run.
 *
 *   certificates.ts [--quick]
 *
 * `ssh-keygen` signs all keys in one process and keeps no record; ours puts each on record, on disk, before it leaves.
 */
import { openAuthority } from "../../src/ca/authority.ts";
import type { RootAlgorithm } from "../../src/ca/local.ts";
import { openDatabase } from "../../src/deno/sqlite.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import type { Identity } from "../../src/identity/principal.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { type KeyKind, makeKey } from "../support/keygen.ts";
import { findProgram } from "../support/peers.ts";
import { succeed } from "../support/process.ts";

/** What a signing key is called here and there. */
const ROOTS: readonly { readonly kind: KeyKind; readonly algorithm: RootAlgorithm }[] = [
  { kind: "ed25519", algorithm: "ssh-ed25519" },
  { kind: "ecdsa-256", algorithm: "ecdsa-sha2-nistp256" },
];
/** Requests under way at once: as many people sign in at nine o'clock. */
const AT_ONCE = 32;

const count = Deno.args.includes("--quick") ? 200 : 4000;

const ann: Identity = {
  kind: "jwt",
  issuer: "https://id.example",
  subject: "ann-1",
  name: "ann@mycorp.example",
  groups: ["sre"],
  claims: {},
  owner: false,
  restrictions: {},
  credential: {},
};

/** Certificates per second of ours. */
async function ours(folder: Folder, algorithm: RootAlgorithm, line: string, atOnce: number): Promise<number> {
  const path = folder.at(`${algorithm}-${atOnce}`);
  const state = await openStateFolder(path, "lock");
  const store = await openSqliteStore(openDatabase(`${path}/store.sqlite`), { clock: systemClock });
  const authority = await openAuthority({
    clock: systemClock,
    state,
    store,
    record: () => {},
    config: { domain: "mesh.example", trustDomain: "prod.example", profiles: [], algorithm },
  });
  const issue = async (times: number) => {
    const { key } = parsePublicKeyLine(line);
    for (let n = 0; n < times; n++) {
      // Many people: one alone gets them less fast.
      const identity = { ...ann, subject: `ann-${n % 100}` };
      await authority.issueUser({ identity, publicKey: key, remote: "192.0.2.7:40100" });
    }
  };
  await issue(50); // the compiler's share
  const begin = performance.now();
  await Promise.all(Array.from({ length: atOnce }, () => issue(Math.ceil(count / atOnce))));
  const seconds = (performance.now() - begin) / 1000;
  authority.close();
  await store.close();
  state.close();
  return atOnce * Math.ceil(count / atOnce) / seconds;
}

/** Certificates per second of `ssh-keygen`. */
async function keygen(folder: Folder, kind: KeyKind, line: string): Promise<number> {
  const root = await makeKey(folder, `root_${kind}`, kind);
  const files = Array.from({ length: count }, (_, n) => folder.write(`${kind}_${n}.pub`, `${line}\n`));
  const program = findProgram("ssh-keygen") ?? "ssh-keygen";
  const begin = performance.now();
  await succeed(
    [
      program,
      "-q",
      "-s",
      root.path,
      "-I",
      "ann",
      "-n",
      "ann@mycorp.example,group:sre",
      "-V",
      "+10m",
      ...files,
    ],
    { within: 120_000 },
  );
  return count / ((performance.now() - begin) / 1000);
}

using folder = temporaryFolder();
const { line } = await makeKey(folder, "id");
console.log(`SSH user certificates per second, ${count} each`);
console.log("root                  one at a time   " + `${AT_ONCE} at once   ssh-keygen -s`);
for (const { kind, algorithm } of ROOTS) {
  const figures = [
    await ours(folder, algorithm, line, 1),
    await ours(folder, algorithm, line, AT_ONCE),
    await keygen(folder, kind, line),
  ];
  console.log(algorithm.padEnd(20) + figures.map((figure) => figure.toFixed(0).padStart(14)).join(""));
}
