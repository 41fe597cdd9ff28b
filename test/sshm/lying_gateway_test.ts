/** What `sshm` makes of a gateway that is believed and says nonsense. */
import assert from "node:assert/strict";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { serveSession } from "../../src/ssh/session/server.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { type KeyFile, knownHost, makeCertificate, makeKey } from "../support/keygen.ts";
import { readSigner } from "../support/library_server.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";

/** Loaded outside any test: see library_server.ts. */
const systemCrypto = (await chooseCrypto()).provider;

/** Lets everybody in and answers every command with the content of the file `answer`. */
async function startLyingGateway(folder: Folder, hostKey: KeyFile) {
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const answer = folder.write("answer", "");
  const life = new AbortController();
  const open = new Set<Promise<unknown>>();
  const serve = async (duplex: Parameters<typeof acceptSsh>[0]) => {
    const connection = await acceptSsh<string>(duplex, {
      crypto: systemCrypto,
      hostKeys: [await readSigner(hostKey)],
      signal: life.signal,
      auth: { publicKey: () => ({ result: "accepted", identity: "anybody" }) },
      prepare: (connection) => {
        new Router(connection).onChannel("session", (incoming) =>
          serveSession(incoming.accept(), {
            start: async () => {
              const child = await denoProcesses.spawn({ file: "/bin/cat", args: [answer], env: {} });
              const signal = (name: string) => child.kill(name);
              return { ...child, status: child.status, signal, close: () => child.kill("HUP") };
            },
          }));
      },
    });
    await connection.closed;
  };
  const accepting = (async () => {
    for await (const duplex of listener) {
      const served = serve(duplex).catch(() => {}).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  return {
    port: listener.address.transport === "tcp" ? listener.address.port : 0,
    say: (text: string) => Deno.writeTextFileSync(answer, text),
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      life.abort(new Error("the test is over"));
      await Promise.all(open);
    },
  };
}

peerTest("an answer that is not what was asked for is told in a sentence, and nothing of it is kept", [
  openssh,
], async (t) => {
  using folder = temporaryFolder();
  const [hostKey, key, other, authority] = await Promise.all(
    ["host", "user", "other", "ca"].map((name) => makeKey(folder, name)),
  );
  await using gateway = await startLyingGateway(folder, hostKey);
  const hosts = folder.write("hosts", knownHost(gateway.port, hostKey));
  const flags = ["--gateway", `127.0.0.1:${gateway.port}`, "--known-hosts", hosts, "--identity", key.path];
  const sshm = (...words: string[]) =>
    run(meshLine("sshm", [...flags, ...words]), { env: meshEnvironment(folder.path) });
  const kept = `${key.path}-cert.pub`;
  const certificate = async (of: KeyFile, role: "user" | "host") => {
    const path = await makeCertificate(authority, of, { role, principals: ["ann"] });
    const line = Deno.readTextFileSync(path);
    Deno.removeSync(path);
    return line;
  };
  const cases: [name: string, answer: string, words: string[], sentence: RegExp][] = [
    ["nothing", "", ["cert"], /is no certificate/],
    ["words", "Welcome!\n", ["cert"], /is no certificate/],
    ["the key itself", key.line, ["cert"], /is no certificate/],
    [
      "another key's certificate",
      await certificate(other, "user"),
      ["cert"],
      /no user certificate for this key/,
    ],
    ["a host certificate", await certificate(key, "host"), ["cert"], /no user certificate for this key/],
    ["no JSON", "{", ["revoked", "--json"], /is not JSON/],
    ["no JSON", "[]]", ["token", "create", "--name", "x"], /is not JSON/],
    ["no end", "x".repeat(17 * 1024 * 1024), ["krl"], /does not end/],
    ["an authority for every host", `@cert-authority * ${authority.bare}\n`, [
      "ssh-config",
      "web",
      "--save-hosts",
      folder.at("saved"),
    ], /speaks for every host/],
  ];
  for (const [name, answer, words, sentence] of cases) {
    await t.step(`${words[0]}: ${name}`, async () => {
      gateway.say(answer);
      const { code, text, stderr } = await sshm(...words);
      assert.ok(code === 1 || code === 10, `exit ${code}: ${stderr}`);
      assert.equal(text, "");
      assert.match(stderr, sentence);
      for (const path of [kept, folder.at("saved")]) assert.throws(() => Deno.statSync(path));
    });
  }
  await t.step("what would move the terminal's cursor is made harmless", async () => {
    gateway.say("\x1b[2Jname\x07  ann\u202e\n");
    const { text } = await sshm("whoami");
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\u202e]/);
  });
});
