/** The container images' content, run in place of a container: a bare root, another account, no network. */
import assert from "node:assert/strict";
import { contentSizes, makeImageRoot } from "../../deploy/image_root.ts";
import { temporaryFolder } from "../support/folder.ts";
import { findProgram, type Peer, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";

/** Bytes that an image may have: what an agent beside every workload may cost in storage and pull time. */
const MOST = 130_000_000;

/** What stands in for a container. */
const containers: Peer = {
  name: "namespaces",
  newest: false,
  missing: Deno.uid() !== 0 ? "only root can make them" : findProgram("unshare") ? undefined : "no unshare",
  line: (root, ...args) => {
    const script = 'mount -t proc proc "$0/proc" && exec chroot --userspec=65532:65532 "$0" "$@"';
    return ["unshare", "--mount", "--net", "sh", "-c", script, root, ...args];
  },
};

for (const command of ["gateway", "agent"]) {
  peerTest(`the ${command}'s image is small, whole, and runs without a network`, [containers], async () => {
    using folder = temporaryFolder();
    const root = folder.at("root");
    await makeImageRoot(`cmd/${command}.ts`, root);
    Deno.chmodSync(folder.path, 0o755);

    const total = [...contentSizes(root).values()].reduce((sum, size) => sum + size, 0);
    assert.ok(total < MOST, `${total} bytes`);

    const env = { DENO_DIR: "/deno-dir", HOME: "/tmp", DENO_NO_UPDATE_CHECK: "1" };
    const line = containers.line(
      root,
      "/bin/deno",
      "run",
      "--cached-only",
      "-A",
      `/app/cmd/${command}.ts`,
      "--help",
    );
    const { code, text, stderr } = await run(line, { env });
    assert.equal(code, 0, stderr);
    assert.match(text, /--state/);

    const program =
      'import { chooseCrypto } from "./src/deno/crypto.ts"; console.log((await chooseCrypto()).provider.name);';
    Deno.writeTextFileSync(`${root}/app/probe.ts`, program);
    const probe = await run(
      containers.line(root, "/bin/deno", "run", "--cached-only", "-A", "/app/probe.ts"),
      { env },
    );
    assert.match(probe.text, /^libcrypto /, probe.stderr);
  });
}
