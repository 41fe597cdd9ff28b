/**
 * The project's whole check, stage by stage, with one line at the end: `N passed, N failed, N skipped`.
 *
 * A stage that is no test suite counts as one. A later stage runs though an earlier one failed: one run tells all.
 *
 *   run.ts            everything, the set-up of missing peers first
 *   run.ts --quick    without the peers: what a change is checked with before it is committed
 */
import { temporaryFolder } from "./support/folder.ts";

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Stage {
  readonly name: string;
  /** Arguments for the Deno that runs this. */
  readonly args: readonly string[];
  /** Whether it runs tests, and so understands `--junit-path`. */
  readonly tests?: boolean;
  /** Whether it needs the peers. */
  readonly peers?: boolean;
}

const STAGES: readonly Stage[] = [
  { name: "set-up", args: ["run", "-A", "test/setup.ts"], peers: true },
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "--quiet", "."] },
  { name: "types of the core, without Deno or Node", args: ["run", "-A", "test/core_types.ts"] },
  { name: "unit tests", args: ["test", "-A", "--parallel", "--ignore=test/interop"], tests: true },
  { name: "examples", args: ["run", "-A", "test/examples.ts"], tests: true },
  { name: "interop tests", args: ["test", "-A", "--parallel", "test/interop"], tests: true, peers: true },
];

/** Adds up a JUnit report. */
export function countReport(xml: string): Count {
  const sum = (attribute: string) =>
    [...xml.matchAll(new RegExp(`<testsuite [^>]*\\b${attribute}="(\\d+)"`, "g"))]
      .reduce((total, [, value]) => total + Number(value), 0);
  const failed = sum("failures") + sum("errors");
  const skipped = sum("disabled");
  return { passed: sum("tests") - failed - skipped, failed, skipped };
}

function runStage({ name, args, tests }: Stage): Count {
  console.log(`\n── ${name}`);
  const began = performance.now();
  using folder = temporaryFolder();
  const report = folder.at("report.xml");
  const all = tests ? [...args, `--junit-path=${report}`] : args;
  const { success } = new Deno.Command(Deno.execPath(), {
    args: [...all],
    cwd: new URL("../", import.meta.url),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).outputSync();
  const count = tests
    ? countReport(readOrNothing(report))
    : { passed: success ? 1 : 0, failed: 0, skipped: 0 };
  // A module that does not load, a leak outside any test: the report knows of neither.
  if (!success && count.failed === 0) count.failed = 1;
  console.log(`${name}: ${Math.round((performance.now() - began) / 1000)} s`);
  return count;
}

function readOrNothing(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

if (import.meta.main) {
  const quick = Deno.args.includes("--quick");
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  const broken: string[] = [];
  for (const stage of STAGES.filter(({ peers }) => !(quick && peers))) {
    const count = runStage(stage);
    for (const key of ["passed", "failed", "skipped"] as const) total[key] += count[key];
    if (count.failed > 0) broken.push(stage.name);
  }
  if (broken.length > 0) console.log(`\nfailed: ${broken.join(", ")}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  // CI installs what it needs, so a skip there hides something.
  const skips = Deno.env.get("CI") === "true" && total.skipped > 0;
  Deno.exit(total.failed > 0 || skips ? 1 : 0);
}
