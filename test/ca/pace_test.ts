/** One identity does not fill the records of the authority. */
import assert from "node:assert/strict";
import { MOST_AT_ONCE, Pace, PER_SECOND } from "../../src/ca/pace.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fails, host, user } from "./requests.ts";
import { ann, scene } from "./scene.ts";

Deno.test("so many at once, then so many a second, of each identity", async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  const taken = (who: string, tries: number) =>
    Array.from({ length: tries }, () => pace.take(who)).filter((one) => one).length;
  assert.equal(taken("ann", 2 * MOST_AT_ONCE), MOST_AT_ONCE);
  assert.equal(taken("bob", 10), 10);
  await clock.advance(3000);
  assert.equal(taken("ann", 100), 3 * PER_SECOND);
  // Refusals cost nothing, and a long pause is worth no more than a first time.
  await clock.advance(24 * 3_600_000);
  assert.equal(taken("ann", 2 * MOST_AT_ONCE), MOST_AT_ONCE);
});

Deno.test("however many identities there were, each has its own count", async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  for (let i = 0; i < MOST_AT_ONCE; i++) pace.take("ann");
  for (let i = 0; i < 10_000; i++) pace.take(`stranger ${i}`);
  assert.equal(pace.take("ann"), false);
  await clock.advance(3_600_000);
  for (let i = 0; i < 10_000; i++) assert.equal(pace.take(`another ${i}`), true);
});

Deno.test("an identity that asks for certificates without end is told to wait, an owner is not", async () => {
  using made = await scene();
  const { authority, clock } = made;
  for (let i = 0; i < MOST_AT_ONCE; i++) await authority.issueUser(user(ann()));
  await assert.rejects(authority.issueUser(user(ann())), fails("unavailable", /ask again later/));
  await assert.rejects(authority.issueHost(host(["web.mesh.example"], ann())), fails("unavailable"));
  await authority.issueUser(user(ann({ subject: "another" })));
  await authority.issueUser(user(ann({ owner: true })));
  await clock.advance(1000);
  await authority.issueUser(user(ann()));
});
