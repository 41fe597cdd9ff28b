import assert from "node:assert/strict";
import { countReport } from "../run.ts";

Deno.test("a report's tests, failures and skips are added up over its suites", () => {
  const report = `<testsuites name="deno test" tests="9" failures="9">
    <testsuite name="./a_test.ts" tests="5" disabled="1" errors="0" failures="1"></testsuite>
    <testsuite name="./b_test.ts" tests="2" disabled="0" errors="1" failures="0"></testsuite>
  </testsuites>`;
  assert.deepEqual(countReport(report), { passed: 4, failed: 2, skipped: 1 });
  assert.deepEqual(countReport(""), { passed: 0, failed: 0, skipped: 0 });
});
