import assert from "node:assert/strict";
import { temporaryFolder } from "../support/folder.ts";
import { runShell, shellExamples } from "../examples.ts";

const MARKDOWN = "Text\n```sh runs\necho one >out\n```\nmore\n```sh\nexit 9\n```\n```sh runs\ncat out\n```\n";

Deno.test("shell examples are the blocks marked so, in order", () => {
  assert.equal(shellExamples(MARKDOWN), "echo one >out\n\ncat out\n");
  assert.equal(shellExamples("```sh\necho\n```\n"), undefined);
});

Deno.test("shell examples run with an empty home, share a shell, and leave nothing running", async () => {
  using folder = temporaryFolder();
  await runShell(
    'test -z "$(ls -A ~)"; x=1\nexec 3>&1; (echo $BASHPID >pid; exec tail -f /dev/null) &\nuntil test -s pid; do :; done; test $x = 1',
    folder.path,
  );
  assert.throws(() => Deno.kill(Number(folder.read("pid")), "SIGCONT"));
});

Deno.test("a failing shell example fails, with what it said", async () => {
  using folder = temporaryFolder();
  await assert.rejects(runShell("echo before\nfalse\necho after", folder.path), /^Error: exit 1\nbefore\n$/);
});
