import assert from "node:assert/strict";
import { openDatabase } from "../../src/deno/sqlite.ts";
import { StateError } from "../../src/platform/state.ts";
import { CHECKED_SIZE, LOOK_INTERVAL, openSqliteStore } from "../../src/store/sqlite.ts";
import { type Json, StoreError } from "../../src/store/types.ts";
import { testStore } from "../contract/store_contract.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";

testStore("sqlite", () => {
  const folder = temporaryFolder();
  return {
    lasting: true,
    open: (clock) => openSqliteStore(openDatabase(folder.at("store.sqlite")), { clock }),
    [Symbol.asyncDispose]: () => Promise.resolve(folder[Symbol.dispose]()),
  };
});

const clock = new FakeClock();
const failed = (words: RegExp) => (error: unknown) =>
  error instanceof StoreError && error.code === "failed" && words.test(error.message);

Deno.test("the database and its companions are the owner's alone", async () => {
  using folder = temporaryFolder();
  const store = await openSqliteStore(openDatabase(folder.at("store.sqlite")), { clock });
  await store.collection<Json>("things").insert("a", 1);
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  assert.deepEqual(names, ["store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]);
  for (const name of names) assert.equal(Deno.statSync(folder.at(name)).mode! & 0o777, 0o600, name);
  await store.close();
});

Deno.test("a database that others can read is refused", () => {
  using folder = temporaryFolder();
  folder.write("store.sqlite", "", 0o640);
  assert.throws(
    () => openDatabase(folder.at("store.sqlite")),
    (error) => error instanceof StateError && error.code === "too-open" && /0640/.test(error.message),
  );
});

Deno.test("a broken database is an error with a sentence, and left as it is", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const store = await openSqliteStore(openDatabase(path), { clock });
  for (let n = 0; n < 300; n++) await store.collection<Json>("things").insert(`key ${n}`, "x".repeat(100));
  await store.close();
  const whole = Deno.readFileSync(path);

  const overwritten = whole.slice();
  overwritten.fill(0x5a, 4096 + 50, 4096 * 3);
  const cases: [string, Uint8Array][] = [
    ["text", new TextEncoder().encode("this is not a database\n".repeat(300))],
    ["truncated", whole.slice(0, whole.length - 4096 * 2)],
    ["overwritten", overwritten],
  ];
  for (const [name, content] of cases) {
    folder.write("store.sqlite", content);
    await assert.rejects(openSqliteStore(openDatabase(path), { clock }), failed(/broken/), name);
    assert.deepEqual(Deno.readFileSync(path), content, name);
  }
  folder.write("store.sqlite", whole);
  const again = await openSqliteStore(openDatabase(path), { clock });
  assert.equal((await again.collection("things").list()).length, 300);
  await again.close();
});

Deno.test("a large database opens at once; what is broken in it is an error with a sentence when it is read or written", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const store = await openSqliteStore(openDatabase(path), { clock });
  const count = Math.ceil(CHECKED_SIZE / 3000);
  const key = (n: number) => `key ${String(n).padStart(6, "0")}`;
  const value = "x".repeat(3000);
  const things = store.collection<Json>("things");
  await Promise.all(Array.from({ length: count }, (_, n) => things.insert(key(n), value)));
  await store.close();
  const { size } = Deno.statSync(path);
  assert.ok(size > CHECKED_SIZE);

  const page = 4096;
  const damages: [string, (damaged: Uint8Array) => unknown][] = [
    ["zeros", (damaged) => damaged.fill(0)],
    ["noise", (damaged) => crypto.getRandomValues(damaged)],
    ["text", (damaged) => damaged.fill(0x5a)],
    [
      "documents that are none",
      (damaged) => damaged.forEach((byte, at) => byte === 0x78 && (damaged[at] = 1)),
    ],
  ];
  const original = Deno.readFileSync(path);
  for (const [name, damage] of damages) {
    const content = original.slice();
    const middle = Math.floor(size / page / 2) * page;
    damage(content.subarray(middle, middle + 8 * page));
    Deno.writeFileSync(path, content);
    const again = await openSqliteStore(openDatabase(path), { clock });
    const broken = again.collection<Json>("things");
    const outcomes = await Promise.allSettled(Array.from({ length: count }, (_, n) => broken.get(key(n))));
    const errors = outcomes.flatMap((outcome) => outcome.status === "rejected" ? [outcome.reason] : []);
    assert.ok(errors.length > 0 && errors.length < 1000, `${name}: ${errors.length} cannot be read`);
    for (const error of errors) assert.ok(failed(/broken/)(error), `${name}: ${error}`);
    await assert.rejects(broken.list({ limit: count }), failed(/broken/), name);
    // Elsewhere it goes on.
    assert.equal((await broken.get(key(0)))?.value, value);
    assert.ok(await broken.insert("behind them all", 1));
    const at = outcomes.findIndex(({ status }) => status === "rejected");
    await broken.insert(`${key(at)} and more`, 1).catch((error) => assert.ok(failed(/broken/)(error), name));
    await again.close();
    for (const end of ["-wal", "-shm"]) await Deno.remove(path + end).catch(() => {});
  }
});

Deno.test("a large database that has lost its end is found out at the start", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const store = await openSqliteStore(openDatabase(path), { clock });
  const things = store.collection<Json>("things");
  await Promise.all(Array.from({ length: 40 }, (_, n) => things.insert(`${n}`, "x".repeat(1_000_000))));
  await store.close();
  const { size } = Deno.statSync(path);
  assert.ok(size > CHECKED_SIZE);
  Deno.truncateSync(path, size - 4096);
  await assert.rejects(openSqliteStore(openDatabase(path), { clock }), failed(/broken/));
});

Deno.test("a database of a newer version of the program is left alone", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  await (await openSqliteStore(openDatabase(path), { clock })).close();
  const database = openDatabase(path);
  database.run("UPDATE schema SET version = 2");
  database.close();
  await assert.rejects(
    openSqliteStore(openDatabase(path), { clock }),
    (error) => error instanceof StoreError && error.code === "newer" && /newer version/.test(error.message),
  );
});

Deno.test("another program's database is left alone", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const database = openDatabase(path);
  database.run("CREATE TABLE bookmarks (url TEXT)");
  database.close();
  await assert.rejects(openSqliteStore(openDatabase(path), { clock }), failed(/another program/));
});

Deno.test("a full disk is an error with a sentence, and nothing is half written", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const database = openDatabase(path);
  const store = await openSqliteStore(database, { clock });
  const things = store.collection<Json>("things");
  await things.insert("before", 1);
  database.run("PRAGMA max_page_count = 20");
  const batch = await Promise.allSettled([
    things.insert("small", 1),
    things.insert("large", "x".repeat(200_000)),
  ]);
  for (const answer of batch) {
    assert.ok(answer.status === "rejected" && failed(/disk is full/)(answer.reason), answer.status);
  }
  assert.deepEqual((await things.list()).map(({ key }) => key), ["before"]);
  // Room again: it goes on without being opened anew.
  database.run("PRAGMA max_page_count = 10000");
  await things.insert("large", "x".repeat(200_000));
  assert.deepEqual((await things.list()).map(({ key }) => key), ["before", "large"]);
  await store.close();
});

Deno.test("what another process changes is heard of at the next look", async () => {
  using folder = temporaryFolder();
  const clock = new FakeClock();
  const path = folder.at("store.sqlite");
  const ours = await openSqliteStore(openDatabase(path), { clock });
  const theirs = await openSqliteStore(openDatabase(path), { clock });
  const heard: string[] = [];
  await ours.collection<Json>("things").insert("old", 1);
  const stop = ours.collection<Json>("things").watch(({ key }) => heard.push(key));
  const things = theirs.collection<Json>("things");
  await things.insert("new", 1);
  await things.remove({ key: "old" });
  await theirs.collection<Json>("others").insert("another", 1);
  await clock.advance(LOOK_INTERVAL);
  assert.deepEqual(heard.sort(), ["new", "old"]);
  await clock.advance(5 * LOOK_INTERVAL);
  assert.equal(heard.length, 2);
  stop();
  await clock.advance(LOOK_INTERVAL);
  assert.equal(clock.pending, 0, "nobody watches, nobody looks");
  await ours.close();
  await theirs.close();
});

Deno.test("a lock of another process is waited for, and not for ever", async () => {
  using folder = temporaryFolder();
  const clock = new FakeClock();
  const path = folder.at("store.sqlite");
  const store = await openSqliteStore(openDatabase(path), { clock });
  const other = openDatabase(path);
  const things = store.collection<Json>("things");

  other.run("BEGIN IMMEDIATE");
  const patient = things.insert("patient", 1);
  await settle();
  other.run("COMMIT");
  await clock.advance(100);
  assert.ok(await patient);

  other.run("BEGIN IMMEDIATE");
  const busy = assert.rejects(things.insert("busy", 1), failed(/kept busy by another process/));
  await clock.advance(1900);
  await clock.advance(200);
  await busy;
  other.run("COMMIT");
  other.close();
  assert.ok(await things.insert("after", 1));
  await store.close();
});

Deno.test("acknowledged writes survive kill -9", async () => {
  using folder = temporaryFolder();
  const path = folder.at("store.sqlite");
  const acknowledged = new Set<string>();
  const writer = new URL("writer.ts", import.meta.url).pathname;
  for (let round = 0; round < 6; round++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", writer, path, String(round)],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let text = "";
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    // Somewhere in the middle of its writes, each round elsewhere.
    const enough = 20 + 37 * round;
    while (text.split("\n").length < enough) {
      const { value, done } = await reader.read();
      assert.ok(!done, "the writer goes on until it is killed");
      text += value;
    }
    child.kill("SIGKILL");
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
    }
    await child.status;
    // The last line may be half of one.
    for (const key of text.split("\n").slice(0, -1)) acknowledged.add(key);

    const store = await openSqliteStore(openDatabase(path), { clock });
    const things = store.collection<Json>("things");
    for (const key of acknowledged) assert.equal((await things.get(key))?.value, key, key);
    await store.close();
  }
  assert.ok(acknowledged.size > 100);
});
