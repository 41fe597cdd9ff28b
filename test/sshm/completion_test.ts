import assert from "node:assert/strict";
import type { SshmHost } from "../../src/sshm/host.ts";
import { completions } from "../../src/sshm/completion.ts";
import { buildProgram } from "../../src/sshm/program.ts";
import { temporaryFolder } from "../support/folder.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { run, succeed } from "../support/process.ts";

const host = { environment: () => undefined } as unknown as SshmHost;

function words(...typed: string[]): string[] {
  const program = buildProgram({ host, ending: "done" }, { out: "", err: "" }, "0");
  return completions(program, typed).map(({ word }) => word);
}

Deno.test("commands, their commands, flags and choices are completed; a flag's value is left to the shell", () => {
  assert.ok(words("").includes("whoami"));
  assert.deepEqual(words("pol"), ["policy"]);
  assert.deepEqual(words("policy", ""), ["test", "check", "schema"]);
  assert.deepEqual(words("policy", "test", "--polic"), ["--policy"]);
  assert.deepEqual(words("policy", "test", "--policy", ""), []);
  assert.deepEqual(words("--gateway", "gw:1", "node", ""), ["ls"]);
  assert.deepEqual(words("whoami", "--know"), ["--known-hosts"]);
  assert.deepEqual(words("completion", ""), ["bash", "zsh", "fish"]);
  assert.deepEqual(words("nothing", ""), words(""));
});

Deno.test("bash completes a word by asking sshm", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  folder.write("sshm", `#!/bin/sh\nexec ${meshLine("sshm", []).join(" ")} "$@"\n`, 0o755);
  const { text } = await succeed(meshLine("sshm", ["completion", "bash"]), { env });
  const script = `${text}
COMP_WORDS=(sshm policy "") COMP_CWORD=2; _sshm; echo "\${COMPREPLY[@]}"
COMP_WORDS=(sshm who) COMP_CWORD=1; _sshm; echo "\${COMPREPLY[@]}"`;
  const path = `${folder.path}:${Deno.env.get("PATH")}`;
  const { text: found, stderr } = await run(["bash", "-c", script], { env: { ...env, PATH: path } });
  assert.equal(found, "test check schema\nwhoami\n", stderr);
});
