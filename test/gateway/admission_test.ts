import assert from "node:assert/strict";
import { parseAddressRange } from "../../src/bytes/ip_range.ts";
import { Admission, penalties, TOLERANCE } from "../../src/gateway/admission.ts";
import type { Place } from "../../src/gateway/places.ts";
import { FakeClock } from "../support/fake_clock.ts";

function admission(clock: FakeClock, limits: Partial<ConstructorParameters<typeof Admission>[0]> = {}) {
  return new Admission(
    {
      maxClients: 1000,
      maxStartups: 8,
      maxStartupsPerSource: 4,
      penaltyExempt: [],
      ...limits,
    },
    clock,
  );
}

const isIn = (place: Place | string): place is Place => typeof place !== "string";

Deno.test("one address has a share of the places, everybody together the rest", () => {
  const subject = admission(new FakeClock());
  const places = Array.from({ length: 4 }, () => subject.admit("192.0.2.1", 0));
  assert.ok(places.every(isIn));
  assert.match(String(subject.admit("192.0.2.1", 0)), /from this address/);
  for (let i = 0; i < 4; i++) assert.ok(isIn(subject.admit(`192.0.2.${10 + i}`, 0)));
  assert.match(String(subject.admit("192.0.2.99", 0)), /too many connections/);
  (places[0] as Place).release();
  (places[0] as Place).release();
  assert.equal(subject.startups, 7);
  assert.ok(isIn(subject.admit("192.0.2.1", 0)));
});

Deno.test("clients that are in count too", () => {
  assert.match(
    String(admission(new FakeClock(), { maxClients: 2 }).admit("192.0.2.1", 2)),
    /too many clients/,
  );
});

Deno.test("an address that only fails is held off, and comes back in when its debt is gone", async () => {
  const clock = new FakeClock();
  const subject = admission(clock);
  const tries = TOLERANCE / penalties.refused;
  for (let i = 0; i < tries; i++) {
    const place = subject.admit("192.0.2.1", 0);
    assert.ok(isIn(place), `try ${i}`);
    place.release();
    subject.punish("192.0.2.1", "refused");
  }
  assert.ok(isIn(subject.admit("192.0.2.1", 0)), "what is tolerated is not held against it");
  subject.punish("192.0.2.1", "refused");
  assert.match(String(subject.admit("192.0.2.1", 0)), /too many failures/);
  assert.ok(isIn(subject.admit("192.0.2.2", 0)), "others are not touched");
  await clock.advance(TOLERANCE);
  assert.match(String(subject.admit("192.0.2.1", 0)), /too many failures/);
  await clock.advance(penalties.refused);
  assert.ok(isIn(subject.admit("192.0.2.1", 0)));
});

Deno.test("an IPv6 subscriber is one source, however many addresses it takes", () => {
  const subject = admission(new FakeClock());
  for (let i = 1; i <= 4; i++) assert.ok(isIn(subject.admit(`2001:db8::${i}`, 0)));
  assert.equal(typeof subject.admit("2001:db8::5", 0), "string");
  assert.ok(isIn(subject.admit("2001:db8:0:1::5", 0)));
});

Deno.test("exempt addresses are never held off", () => {
  const subject = admission(new FakeClock(), { penaltyExempt: [parseAddressRange("192.0.2.0/24")] });
  for (let i = 0; i < 100; i++) subject.punish("192.0.2.1", "broken");
  assert.ok(isIn(subject.admit("192.0.2.1", 0)));
});

Deno.test("a debt is bounded: nobody is locked out for a day", async () => {
  const clock = new FakeClock();
  const subject = admission(clock);
  for (let i = 0; i < 10_000; i++) subject.punish("192.0.2.1", "broken");
  await clock.advance(600_000);
  assert.ok(isIn(subject.admit("192.0.2.1", 0)));
});
