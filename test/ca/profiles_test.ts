import assert from "node:assert/strict";
import {
  chooseProfile,
  extensionNames,
  longestLifetime,
  profilesSchema,
  WORKLOAD_LIFETIME,
} from "../../src/ca/profiles.ts";
import { ann, DAY, HOUR, MINUTE, workload } from "./scene.ts";

const configured = profilesSchema.parse([
  {
    name: "ci",
    who: { kind: ["jwt", "oidc"], issuer: "https://ci.example", group: "ci" },
    lifetime: { default: "5m", max: "15m" },
    extensions: ["permit-port-forwarding"],
    force_command: "deploy",
    source_address: ["10.0.0.0/8", "192.0.2.1"],
    principals: ["deploy"],
  },
  { name: "staging", who: { trust_domain: "staging.example" }, lifetime: { default: "1h", max: "2h" } },
  { name: "everybody", host_lifetime: { default: "1h", max: "30d" } },
]);

Deno.test("people get ten minutes, one hour at most; workloads and hosts a day, a week at most", () => {
  const person = chooseProfile([], ann());
  assert.deepEqual(person.lifetime, { default: 10 * MINUTE, max: HOUR });
  assert.deepEqual(person.hostLifetime, { default: DAY, max: 7 * DAY });
  assert.deepEqual(chooseProfile([], workload()).lifetime, { default: DAY, max: 7 * DAY });
  assert.deepEqual(chooseProfile([], ann({ fqdn: "web.mesh.example" })).lifetime, WORKLOAD_LIFETIME);
  assert.deepEqual(person.extensions, extensionNames);
});

Deno.test("the first profile that matches counts; all its conditions must hold", () => {
  const ci = ann({ issuer: "https://ci.example", groups: ["x", "ci"] });
  assert.deepEqual(chooseProfile(configured, ci), {
    name: "ci",
    who: { kind: ["jwt", "oidc"], issuer: ["https://ci.example"], group: ["ci"] },
    lifetime: { default: 5 * MINUTE, max: 15 * MINUTE },
    hostLifetime: WORKLOAD_LIFETIME,
    extensions: ["permit-port-forwarding"],
    forceCommand: "deploy",
    sourceAddresses: ["10.0.0.0/8", "192.0.2.1/32"],
    principals: ["deploy"],
  });
  for (const near of [{ groups: [] }, { issuer: "https://ci.example.evil" }, { kind: "key" as const }]) {
    assert.equal(chooseProfile(configured, ann({ ...ci, ...near })).name, "everybody");
  }
  assert.equal(chooseProfile(configured, workload({ trustDomain: "staging.example" })).name, "staging");
  assert.equal(chooseProfile(configured, workload()).name, "everybody");
});

Deno.test("a root is trusted for as long as the longest certificate of any profile", () => {
  assert.equal(longestLifetime([], "user"), 7 * DAY);
  assert.equal(longestLifetime(configured, "host"), 30 * DAY);
  assert.equal(longestLifetime(configured, "user"), 7 * DAY);
});

Deno.test("a profile that is not understood is refused with a sentence", () => {
  const cases: [unknown, RegExp][] = [
    [{}, /string/],
    [{ name: "x", who: { email: "a@b" } }, /email/],
    [{ name: "x", lifetime: { default: "2h", max: "1h" } }, /longer than the maximum/],
    [{ name: "x", lifetime: { default: "soon", max: "1h" } }, /not a duration/],
    [{ name: "x", extensions: ["permit-root"] }, /permit-pty/],
    [{ name: "x", principals: ["a,b"] }, /',' is in it/],
    [{ name: "x", principals: ["*"] }, /'\*' is in it/],
    [{ name: "x", source_address: "10.0.0.1/8" }, /did you mean 10.0.0.0\/8/],
    [{ name: "x", source_address: [] }, /./],
    [{ name: "x", lifetme: {} }, /lifetme/],
  ];
  for (const [value, words] of cases) {
    const parsed = profilesSchema.safeParse([value]);
    assert.ok(!parsed.success, JSON.stringify(value));
    assert.match(JSON.stringify(parsed.error.issues).replaceAll('\\"', '"'), words, JSON.stringify(value));
  }
});
