/** What every store must do, wherever it keeps its documents. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Json, type Store, StoreError } from "../../src/store/types.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** A place that a store can be opened in. */
export interface StorePlace extends AsyncDisposable {
  open(clock: FakeClock): Promise<Store>;
  /** Whether documents are there again after closing and opening. */
  readonly lasting: boolean;
}

/** Registers the tests of the contract for one implementation. */
export function testStore(name: string, makePlace: () => StorePlace): void {
  const test = (
    sentence: string,
    body: (store: Store, place: StorePlace, clock: FakeClock) => Promise<void>,
  ) =>
    Deno.test(`${name}: ${sentence}`, async () => {
      await using place = makePlace();
      const clock = new FakeClock();
      const store = await place.open(clock);
      try {
        await body(store, place, clock);
      } finally {
        await store.close();
      }
      assert.equal(clock.pending, 0, "no timer is left");
    });

  test("a document that was inserted is there, and nobody can insert it again", async (store) => {
    const things = store.collection<Json>("things");
    assert.equal(await things.get("a"), undefined);
    const inserted = await things.insert("a", { n: 1 });
    assert.deepEqual(inserted?.value, { n: 1 });
    assert.deepEqual(await things.get("a"), inserted);
    assert.equal(await things.insert("a", { n: 2 }), undefined);
    assert.deepEqual(await things.get("a"), inserted);
  });

  test("of two who replace what they both read, one comes too late", async (store) => {
    const things = store.collection<Json>("things");
    const read = (await things.insert("a", 1))!;
    const answers = await Promise.all([things.replace(read, 2), things.replace(read, 3)]);
    assert.equal(answers.filter(Boolean).length, 1);
    assert.equal((await things.get("a"))?.value, 2);
    assert.notEqual((await things.get("a"))?.version, read.version);
    assert.equal(await things.replace({ key: "none", version: read.version }, 1), undefined);
  });

  test("of two who insert at once, one is told that it is there", async (store) => {
    const things = store.collection<Json>("things");
    const answers = await Promise.all([things.insert("a", 1), things.insert("a", 2)]);
    assert.deepEqual(answers.map((answer) => answer?.value), [1, undefined]);
  });

  test("removing needs the version that was read, where one is named", async (store) => {
    const things = store.collection<Json>("things");
    const old = (await things.insert("a", 1))!;
    await things.replace(old, 2);
    assert.equal(await things.remove(old), false);
    assert.equal(await things.remove({ key: "a" }), true);
    assert.equal(await things.remove({ key: "a" }), false);
    assert.equal(await things.get("a"), undefined);
  });

  test("a document that came back has another version", async (store) => {
    const things = store.collection<Json>("things");
    const first = (await things.insert("a", 1))!;
    await things.remove(first);
    await things.insert("a", 1);
    assert.equal(await things.replace(first, 2), undefined);
  });

  test("collections don't see each other", async (store) => {
    await store.collection<Json>("a").insert("key", 1);
    assert.equal(await store.collection<Json>("b").get("key"), undefined);
    assert.deepEqual(await store.collection<Json>("b").list(), []);
    assert.equal((await store.collection<Json>("a").get("key"))?.value, 1);
  });

  test("lists come in order of keys, by prefix, in pieces", async (store) => {
    const things = store.collection<Json>("things");
    const keys = ["b", "a:2", "a:1", "a", "a:\u{1f600}", "a:\uffee", "ä", "A", "a%", "a_"];
    for (const key of keys) await things.insert(key, key);
    const ordered = ["A", "a", "a%", "a:1", "a:2", "a:\uffee", "a:\u{1f600}", "a_", "b", "ä"];
    assert.deepEqual((await things.list()).map(({ key }) => key), ordered);
    const within = ordered.filter((key) => key.startsWith("a:"));
    assert.deepEqual((await things.list({ prefix: "a:" })).map(({ value }) => value), within);
    assert.deepEqual(
      (await things.list({ prefix: "a:", limit: 2 })).map(({ key }) => key),
      within.slice(0, 2),
    );
    const rest = await things.list({ prefix: "a:", after: within[1] });
    assert.deepEqual(rest.map(({ key }) => key), within.slice(2));
    assert.deepEqual(await things.list({ prefix: "zz" }), []);
  });

  test("what is stored belongs to the store alone", async (store) => {
    const things = store.collection<{ readonly list: number[] }>("things");
    const value = { list: [1] };
    const inserted = await things.insert("a", value);
    value.list.push(2);
    inserted!.value.list.push(3);
    (await things.get("a"))!.value.list.push(4);
    assert.deepEqual((await things.get("a"))?.value, { list: [1] });
  });

  test("every JSON value and every decent key comes back as it was", async (store) => {
    const things = store.collection<Json>("things");
    const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((text) =>
      !text.includes("\0")
    );
    const property = fc.asyncProperty(key, fc.jsonValue(), async (key, value) => {
      await things.remove({ key });
      const plain = JSON.parse(JSON.stringify(value)) as Json;
      assert.deepEqual((await things.insert(key, plain))?.value, plain);
      assert.deepEqual((await things.get(key))?.value, plain);
    });
    await fc.assert(property, { numRuns: 50 });
  });

  test("names and keys that some store could not keep are a caller's mistake", async (store) => {
    for (const bad of ["", "A", "a b", "a/b", "x".repeat(65)]) {
      assert.throws(() => store.collection(bad), TypeError);
    }
    const things = store.collection<Json>("things");
    for (const bad of ["", "a\0b", "\ud800", "x".repeat(2049)]) {
      await assert.rejects(things.insert(bad, 1), TypeError);
    }
  });

  test("who watches hears of each change until he stops, and of nothing before", async (store) => {
    const things = store.collection<Json>("things");
    await things.insert("before", 1);
    const heard: string[] = [];
    const stop = things.watch(({ key }) => heard.push(key));
    const inserted = (await things.insert("a", 1))!;
    await things.insert("a", 2);
    const replaced = (await things.replace(inserted, 2))!;
    await things.replace(inserted, 3);
    await store.collection<Json>("others").insert("b", 1);
    await things.remove(replaced);
    await settle();
    assert.deepEqual(heard, ["a", "a", "a"]);
    stop();
    await things.insert("a", 1);
    await settle();
    assert.equal(heard.length, 3);
  });

  test("closing writes what was asked for before, and ends everything after", async (store, place, clock) => {
    const things = store.collection<Json>("things");
    const stop = things.watch(() => {});
    const late = things.insert("late", 1);
    await store.close();
    await late;
    const closed = (error: unknown) => error instanceof StoreError && error.code === "closed";
    await assert.rejects(things.get("late"), closed);
    await assert.rejects(things.insert("later", 1), closed);
    await assert.rejects(things.list(), closed);
    stop();
    await store.close();
    if (!place.lasting) return;
    const again = await place.open(clock);
    assert.equal((await again.collection<Json>("things").get("late"))?.value, 1);
    await again.close();
  });
}
