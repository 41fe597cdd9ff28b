import assert from "node:assert/strict";
import fc from "fast-check";
import { nextChange, type RingEntry, rotated, signing, trusted } from "../../src/ca/ring.ts";

interface Named extends RingEntry {
  readonly name: string;
}
const names = (entries: readonly Named[]) => entries.map(({ name }) => name).join(" ");
const first: Named[] = [{ name: "a", signsFrom: 0 }];

Deno.test("a new root is trusted at once, signs after the overlap, and the old one goes when its last certificate has run out", () => {
  const ring = rotated(first, { name: "b" }, { now: 1000, overlap: 100, lifetime: 500 });
  const cases: [number, string, number | undefined][] = [
    [1000, "a b", 1100],
    [1099, "a b", 1100],
    [1100, "b a", 1600],
    [1599, "b a", 1600],
    [1600, "b", undefined],
  ];
  for (const [now, expected, next] of cases) {
    assert.equal(names(trusted(ring, now)), expected, `${now}`);
    assert.equal(signing(ring, now).name, expected[0]);
    assert.equal(nextChange(ring, now), next, `${now}`);
  }
});

Deno.test("without overlap the new root signs at once", () => {
  const ring = rotated(first, { name: "b" }, { now: 1000, overlap: 0, lifetime: 500 });
  assert.equal(names(trusted(ring, 1000)), "b a");
});

Deno.test("a rotation in a hurry overtakes one that is under way", () => {
  const slow = rotated(first, { name: "b" }, { now: 1000, overlap: 100, lifetime: 500 });
  const ring = rotated(slow, { name: "c" }, { now: 1050, overlap: 0, lifetime: 500 });
  assert.equal(names(trusted(ring, 1050)), "c a b");
  assert.equal(signing(ring, 1100).name, "c");
  assert.equal(names(trusted(ring, 1550)), "c");
});

Deno.test("whatever signed is trusted for a lifetime after, however roots are rotated", () => {
  const lifetime = 500;
  const step = fc.record({ wait: fc.nat(400), overlap: fc.nat(300) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), fc.nat(400), (steps, last) => {
      let now = 0;
      let ring = first;
      const signed: [number, string][] = [];
      const live = (until: number) => {
        for (; now <= until; now += 20) {
          signed.push([now, signing(ring, now).name]);
          const there = trusted(ring, now).map(({ name }) => name);
          for (const [at, name] of signed) {
            if (at + lifetime > now) assert.ok(there.includes(name), `${name} at ${now}`);
          }
        }
      };
      steps.forEach(({ wait, overlap }, index) => {
        live(now + wait);
        ring = rotated(ring, { name: `r${index}` }, { now, overlap, lifetime });
      });
      live(now + last);
    }),
    { numRuns: 60 },
  );
});
