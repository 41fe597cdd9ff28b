import assert from "node:assert/strict";
import { frozen } from "../../src/platform/frozen.ts";

Deno.test("plain objects and arrays are frozen to the bottom; instances are left as they are", () => {
  const bytes = new Uint8Array(2);
  const names = new Set(["a"]);
  const value = { list: [{ deep: { port: 22 } }], bytes, names, nothing: null };
  assert.equal(frozen(value), value);
  for (const inside of [value, value.list, value.list[0], value.list[0].deep]) {
    assert.ok(Object.isFrozen(inside));
  }
  assert.throws(() => value.list.push({ deep: { port: 23 } }), TypeError);
  bytes[0] = 1;
  assert.ok(!Object.isFrozen(names));
});
