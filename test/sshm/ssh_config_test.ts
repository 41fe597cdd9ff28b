import assert from "node:assert/strict";
import { formatSshConfig, requireOwnHosts, type SshConfigFacts } from "../../src/sshm/ssh_config.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { succeed } from "../support/process.ts";

const FACTS: SshConfigFacts = {
  gateway: { hostname: "gw.mycorp.com", port: 15022 },
  domain: "mycorp.com",
  nodes: ["web.mycorp.com", "db.prod.mycorp.com"],
  identities: [],
  knownHosts: ["~/.ssh/known_hosts"],
};

Deno.test("an ssh_config has the gateway under a name of its own, each node with its alias, and the domain", () => {
  assert.equal(
    formatSshConfig(FACTS),
    `# Nodes behind the gateway gw.mycorp.com:15022, by 'sshm ssh-config'.
Host mesh-gw.mycorp.com
  HostName gw.mycorp.com
  Port 15022
  ProxyJump none
  UserKnownHostsFile ~/.ssh/known_hosts

Host web web.mycorp.com
  HostKeyAlias web.mycorp.com
  ProxyJump mesh-gw.mycorp.com
  UserKnownHostsFile ~/.ssh/known_hosts

Host db.prod.mycorp.com
  HostKeyAlias db.prod.mycorp.com
  ProxyJump mesh-gw.mycorp.com
  UserKnownHostsFile ~/.ssh/known_hosts

Host *.mycorp.com !gw.mycorp.com !mesh-gw.mycorp.com
  ProxyJump mesh-gw.mycorp.com
  UserKnownHostsFile ~/.ssh/known_hosts
`,
  );
});

/** What `ssh -G` makes of the file for a host. */
async function settings(config: string, host: string): Promise<Map<string, string>> {
  using folder = temporaryFolder();
  const file = folder.write("config", config);
  const { text } = await succeed(openssh.line("ssh", "-G", "-F", file, host));
  return new Map(
    text.trimEnd().split("\n").map((line) => [line.split(" ", 1)[0], line.replace(/^\S+ /, "")]),
  );
}

peerTest(
  "ssh reads it so: nodes through the gateway, the gateway and strangers directly",
  [openssh],
  async () => {
    const config = formatSshConfig({ ...FACTS, login: "app", identities: ["/keys/a b%c"] });
    const web = await settings(config, "web");
    assert.equal(web.get("proxyjump"), "mesh-gw.mycorp.com");
    assert.equal(web.get("hostkeyalias"), "web.mycorp.com");
    assert.equal(web.get("user"), "app");
    assert.equal(web.get("identityfile"), "/keys/a b%%c");
    assert.equal((await settings(config, "other.mycorp.com")).get("proxyjump"), "mesh-gw.mycorp.com");
    const gateway = await settings(config, "mesh-gw.mycorp.com");
    assert.deepEqual([gateway.get("hostname"), gateway.get("port")], ["gw.mycorp.com", "15022"]);
    assert.equal(gateway.get("proxyjump") ?? "none", "none");
    for (const stranger of ["gw.mycorp.com", "example.org"]) {
      assert.equal((await settings(config, stranger)).get("proxyjump"), undefined, stranger);
    }
  },
);

peerTest("a ProxyCommand's words reach the shell as they are", [openssh], async () => {
  const proxy = ["/opt/my tools/sshm", "--known-hosts", "it's 100%", "proxy"];
  const config = formatSshConfig({ ...FACTS, proxy });
  const command = (await settings(config, "web")).get("proxycommand")!;
  // ssh replaces its tokens, then a shell reads the words.
  const shown = command.replaceAll("%h", "web").replaceAll("%p", "22").replaceAll("%%", "%");
  const { text } = await succeed(["sh", "-c", shown.replace("'/opt/my tools/sshm'", "printf '%s\\n'")]);
  assert.deepEqual(text.trimEnd().split("\n"), ["--known-hosts", "it's 100%", "proxy", "web", "22"]);
});

Deno.test("what cannot be written in an ssh_config is refused", () => {
  assert.throws(() => formatSshConfig({ ...FACTS, login: "a\nb" }), /cannot be written/);
  assert.throws(() => formatSshConfig({ ...FACTS, knownHosts: ['/a"b'] }), /cannot be written/);
  assert.throws(() => formatSshConfig({ ...FACTS, proxy: ["x\ny"] }), /cannot be written/);
  assert.throws(() => formatSshConfig({ ...FACTS, gateway: { hostname: "a#b", port: 1 } }));
});

Deno.test("a gateway that has a host certificate is known by its domain, where it is reached by another name", () => {
  const named = (hostname: string, certified?: boolean) =>
    formatSshConfig({ ...FACTS, gateway: { hostname, port: 15022 }, certified });
  assert.match(
    named("192.0.2.1", true),
    /^Host mesh-192\.0\.2\.1\n {2}HostName 192\.0\.2\.1\n {2}HostKeyAlias mycorp\.com$/m,
  );
  assert.doesNotMatch(named("mycorp.com", true), /^ {2}HostName .*\n {2}HostKeyAlias/m);
  assert.doesNotMatch(named("192.0.2.1"), /HostKeyAlias mycorp\.com$/m);
});

Deno.test("a gateway's known hosts are taken as they are, unless they speak for everybody's", () => {
  const key = `ssh-ed25519 ${btoa("\0\0\0\x0bssh-ed25519\0\0\0\x20" + "k".repeat(32))}`;
  const good = `@cert-authority *.mycorp.com,[mycorp.com]:15022 ${key}\nmycorp.com ${key}\n`;
  assert.equal(requireOwnHosts(good), good);
  for (const hosts of ["*", "web,*", "*.*", "?*", "!web,*.mycorp.com"]) {
    assert.throws(() => requireOwnHosts(`@cert-authority ${hosts} ${key}\n`), /speaks for every host/, hosts);
  }
  for (const text of ["", "hello\n", `mycorp.com ${key}\nnonsense\n`]) {
    assert.throws(() => requireOwnHosts(text), /no list of known hosts/, text);
  }
});
