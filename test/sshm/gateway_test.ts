import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { freePort } from "../support/tcp.ts";
import { meshSite } from "./mesh_site.ts";

Deno.test("whoami, status, known-hosts and node ls print what the gateway says, as text and as JSON", async () => {
  await using site = await meshSite();
  const { sshm, flags, key, gateway } = site;
  await site.serve("web", 22, 1);

  const whoami = await sshm([...flags, "whoami"]);
  assert.equal(whoami.code, 0, whoami.stderr);
  assert.match(whoami.text, new RegExp(`^fingerprint +${key.fingerprint.replaceAll(/[+/]/g, "\\$&")}$`, "m"));
  const facts = JSON.parse((await sshm(["whoami", "--json", ...flags])).text);
  assert.equal(facts.fingerprint, key.fingerprint);
  assert.equal(facts.owner, true);

  const status = JSON.parse((await sshm(["--json", ...flags, "status"])).text);
  assert.equal(status.leases, 1);

  const hosts = await sshm([...flags, "known-hosts"]);
  assert.ok(hosts.text.includes(gateway.hostKey.bare));
  const { lines } = JSON.parse((await sshm([...flags, "known-hosts", "--json"])).text);
  assert.deepEqual(lines, hosts.text.trimEnd().split("\n"));

  assert.match((await sshm([...flags, "node", "ls"])).text, /^web\.localhost {2}22 /);
  const [node] = JSON.parse((await sshm([...flags, "node", "ls", "--json"])).text);
  assert.equal(node.name, "web.localhost");
});

Deno.test("a gateway that is not known, has another key, refuses the key or is not there: a sentence and a code each", async () => {
  await using site = await meshSite();
  const { sshm, flags, folder, gateway, key, knownHosts } = site;
  const at = `--gateway=127.0.0.1:${gateway.port}`;
  const stranger = await makeKey(folder, "stranger");
  const empty = folder.write("empty_hosts", "");
  const wrong = folder.write("wrong_hosts", `[127.0.0.1]:${gateway.port} ${stranger.bare}\n`);
  const cases: [args: string[], code: number, sentence: RegExp][] = [
    [
      [at, "--known-hosts", empty, "--identity", key.path, "whoami"],
      7,
      /is not in .*: its host key is SHA256:/,
    ],
    [[at, "--identity", key.path, "whoami"], 7, /is not in .*known_hosts.*--gateway-key/],
    [[at, "--known-hosts", wrong, "--identity", key.path, "whoami"], 8, /another host key \(SHA256:/],
    [
      [at, "--gateway-key", stranger.fingerprint, "--identity", key.path, "whoami"],
      8,
      /not the one that --gateway-key/,
    ],
    [
      [at, "--known-hosts", knownHosts, "--identity", stranger.path, "whoami"],
      9,
      /accepts none of the credentials/,
    ],
    [
      [at, "--known-hosts", knownHosts, "--identity", folder.at("none"), "whoami"],
      3,
      /there is no such file/,
    ],
    [[at, "--known-hosts", knownHosts, "whoami"], 3, /no key in an SSH agent/],
    [[`--gateway=127.0.0.1:${freePort()}`, ...flags.slice(1), "whoami"], 11, /nothing listens there/],
    [["--gateway=no-such.invalid:1", ...flags.slice(1), "whoami"], 7, /no address is known/],
    [["whoami"], 2, /--gateway HOST:PORT/],
    [["--gateway-key", "md5", "whoami"], 2, /no fingerprint/],
    [[...flags, "connect", "nobody:22"], 10, /does not connect to nobody:22/],
  ];
  for (const [args, code, sentence] of cases) {
    const result = await sshm(args);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, sentence);
    assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
    assert.equal(result.text, "");
  }
  const { stderr } = await sshm([at, "--known-hosts", wrong, "--identity", key.path, "whoami", "--json"]);
  assert.equal(JSON.parse(stderr).error, "hostKey");
});

Deno.test("a key that others can read is not used, and a fingerprint is enough to believe a gateway", async () => {
  await using site = await meshSite();
  const { sshm, gateway, key } = site;
  const flags = [`--gateway=127.0.0.1:${gateway.port}`, "--gateway-key", gateway.hostKey.fingerprint];
  const believed = await sshm([...flags, "--identity", key.path, "whoami"]);
  assert.equal(believed.code, 0, believed.stderr);
  Deno.chmodSync(key.path, 0o644);
  const open = await sshm([...flags, "--identity", key.path, "whoami"]);
  assert.equal(open.code, 3);
  assert.match(open.stderr, /has mode 0644.*chmod 600/);
});

Deno.test("flags may come from SSHM_ variables, and a flag on the line wins", async () => {
  await using site = await meshSite();
  const { sshm, gateway, key, knownHosts } = site;
  const env = {
    SSHM_GATEWAY: `127.0.0.1:${gateway.port}`,
    SSHM_KNOWN_HOSTS: knownHosts,
    SSHM_IDENTITY: key.path,
  };
  assert.equal((await sshm(["whoami"], { env })).code, 0);
  assert.equal((await sshm(["whoami", "--gateway", `127.0.0.1:${freePort()}`], { env })).code, 11);
  const wrong = await sshm(["whoami"], { env: { ...env, SSHM_GATEWAY: "quic://gw:1" } });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /SSHM_GATEWAY: .*ssh:\/\/HOST:PORT/);
});
