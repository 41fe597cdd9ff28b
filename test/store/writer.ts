/** Writes documents until it is killed; says the key of each that was acknowledged: `writer.ts DATABASE ROUND`. */
import { openDatabase } from "../../src/deno/sqlite.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";

const [path, round] = Deno.args;
const store = await openSqliteStore(openDatabase(path), { clock: systemClock });
const things = store.collection<string>("things");
for (let n = 0;; n++) {
  const key = `${round}-${n}`;
  await things.insert(key, key);
  Deno.stdout.writeSync(new TextEncoder().encode(key + "\n"));
}
