/** A token in place of a password, from every stock client, and what becomes of bad ones. */
import assert from "node:assert/strict";
import { ANN, type IdentityScene, identityScene, TRUST_DOMAIN } from "../support/identity_scene.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import {
  type KubernetesLikeIssuer,
  kubernetesLikeIssuer,
  type MetadataServer,
  startMetadataServer,
} from "../support/oidc.ts";
import {
  dropbear,
  dropbearNewest,
  openssh,
  paramiko,
  type Peer,
  peerStep,
  peerTest,
  putty,
  puttyNewest,
} from "../support/peers.ts";
import { type Finished, run, start } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";

/** Runs `whoami` with nothing but a token. */
type WhoAmI = (scene: IdentityScene, peer: Peer, token: string) => Promise<Finished>;

const dbclient: WhoAmI = ({ folder, gateway }, peer, token) => {
  Deno.mkdirSync(folder.at(".ssh"), { recursive: true, mode: 0o700 });
  folder.write(".ssh/known_hosts", `127.0.0.1 ${gateway.hostKey.bare}\n`);
  return run(peer.line("dbclient", "-p", `${gateway.port}`, "ann@127.0.0.1", "whoami"), {
    env: { HOME: folder.path, DROPBEAR_PASSWORD: token },
  });
};

const plink: WhoAmI = ({ folder, gateway: { port, hostKey } }, peer, token) => {
  const fixed = ["-ssh", "-no-antispoof", "-batch", "-noagent", "-hostkey", hostKey.fingerprint];
  const line = peer.line(
    "plink",
    ...fixed,
    "-P",
    `${port}`,
    "-l",
    "ann",
    "-pw",
    token,
    "127.0.0.1",
    "whoami",
  );
  return run(line, { env: { HOME: folder.path } });
};

const python: WhoAmI = ({ folder, gateway: { port } }, peer, token) => {
  const script = folder.write(
    "whoami.py",
    `import paramiko, sys
transport = paramiko.Transport(("127.0.0.1", ${port}))
transport.connect(username="ann", password=sys.stdin.read())
channel = transport.open_session()
channel.exec_command("whoami")
print(channel.makefile().read().decode())
transport.close()
`,
  );
  return run(peer.line("python3", script), { stdin: token });
};

const CLIENTS: readonly (readonly [peer: Peer, whoami: WhoAmI])[] = [
  [dropbear, dbclient],
  [dropbearNewest, dbclient],
  [putty, plink],
  [puttyNewest, plink],
  [paramiko, python],
];

peerTest("every client that can send a password can send a token, however long", [openssh], async (t) => {
  await using scene = await identityScene();
  const groups = Array.from({ length: 60 }, (_, index) => `a-group-of-many-${index}`);
  const tokens: readonly (readonly [name: string, token: string])[] = [
    ["a short one", await scene.provider.idToken(ANN)],
    ["one over 1023 bytes", await scene.provider.idToken({ ...ANN, groups })],
  ];
  assert.ok(tokens[0][1].length < 1000 && tokens[1][1].length > 2000);
  for (const [peer, whoami] of CLIENTS) {
    for (const [name, token] of tokens) {
      await peerStep(t, `${peer.name}: ${name}`, [peer], async () => {
        const { text, stderr } = await whoami(scene, peer, token);
        assert.match(text, /^name +ann@mycorp\.com$/m, stderr);
        assert.match(text, /^kind +jwt$/m);
      });
    }
  }
});

peerTest(
  "a token that is wrong in one thing is refused, by a record that says which and a sentence that tells less",
  [
    openssh,
  ],
  async (t) => {
    await using scene = await identityScene();
    const { provider, cluster } = scene;
    const good = await provider.idToken(ANN);
    const [header, payload, signature] = good.split(".");
    const other = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
    const unsigned = `${btoa('{"alg":"none"}').replaceAll("=", "")}.${payload}.${signature}`;
    const cases: readonly (readonly [name: string, token: string, record: RegExp])[] = [
      ["for another audience", await provider.idToken(ANN, "ssh://elsewhere"), /audience/],
      [
        "for an audience that only begins so",
        await cluster.podToken({
          namespace: "shop",
          account: "web",
          audience: "ssh://localhost.evil",
        }),
        /audience/,
      ],
      ["another signature", `${header}.${payload}.${other}`, /signature/],
      ["said to need no signature", unsigned, /algorithm/],
      [
        "over",
        await cluster.podToken({
          namespace: "shop",
          account: "web",
          issuedAt: Date.now() - 7_200_000,
          lifetime: 3600,
        }),
        /expired/,
      ],
      [
        "an address that is not verified and no other name",
        await provider.idToken({
          ...ANN,
          sub: "ann@mycorp.com",
          email_verified: false,
        }),
        /identity/,
      ],
      ["no token", "hunter2", /malformed/],
    ];
    for (const [index, [name, token, record]] of cases.entries()) {
      await t.step(name, async () => {
        const person = await scene.person(`person-${index}`, ANN);
        person.folder.write("token", token);
        const { code, text, stderr } = await person.ssh(["gw", "whoami"]);
        assert.deepEqual([code, text], [255, ""], stderr);
        const line = await waitUntil("the record", () => {
          const lines = Deno.readTextFileSync(`${scene.gateway.state}/audit.jsonl`).trim().split("\n");
          return lines.findLast((line) => /refused/.test(line) && record.test(line));
        });
        assert.ok(!line.includes(token.split(".").at(-1)!), "the record does not hold it");
      });
    }
  },
);

peerTest(
  "a Google VM registers by what its metadata server says, and proves its name",
  [openssh],
  async (t) => {
    await using stack = new AsyncDisposableStack();
    let metadata: MetadataServer | undefined;
    const email = "app@my-project.iam.gserviceaccount.com";
    const scene = stack.use(
      await identityScene({
        async issuers(folder) {
          metadata = stack.use(await startMetadataServer(folder, email));
          return `  - issuer: https://accounts.google.com
    jwks: ${metadata.jwks}
    required_claims: { email: ${email} }
`;
        },
      }),
    );
    const rule = `
  - name: our project's machines register themselves
    who:  { email: "*@my-project.iam.gserviceaccount.com" }
    may:  [register, cert-host]
    what: { node: self }
`;
    Deno.writeTextFileSync(scene.policy, rule, { append: true });
    await scene.gateway.process.stderr.match(/the policy was read anew/);
    const name = "app.my-project.gcp.localhost";
    const { folder, gateway: { port }, gatewayHosts } = scene;
    const home = folder.at("vm");
    const line = meshLine("agent", [
      ...[
        "--gateway",
        `localhost:${port}`,
        "--known-hosts",
        gatewayHosts,
        "--token-metadata",
        "--log",
        "json",
      ],
      ...["--state", `${home}/state`, "--trust-user-ca", "gateway", "--allow-principal", "group:sre"],
    ]);
    const env = { ...meshEnvironment(home), GCE_METADATA_HOST: metadata!.host };
    const agent = stack.use(new MeshCommand(start(line, { env })));
    await agent.event("ready");
    await t.step("under the name of its service account", async () => {
      assert.ok((await scene.sshm("node", "ls", "--json")).text.includes(`"${name}"`));
      assert.deepEqual(metadata!.audiences.slice(0, 1), ["ssh://localhost"]);
    });
    await t.step("where a person lands by certificates on both sides", async () => {
      const ann = await scene.person("ann", ANN);
      await ann.signIn();
      const landed = await ann.ssh(["-o", "BatchMode=yes", name, "echo in"]);
      assert.equal(landed.text, "in\n", landed.stderr);
    });
  },
);

peerTest(
  "two clusters with the same accounts are two identities: neither gets the other's name",
  [openssh],
  async () => {
    let twin: KubernetesLikeIssuer | undefined;
    await using scene = await identityScene({
      async issuers(folder) {
        twin = await kubernetesLikeIssuer(folder, { issuer: "https://other.cluster.example", name: "other" });
        return `  - issuer: ${twin.issuer}
    kind: kubernetes
    jwks: ${twin.jwks}
    trust_domain: stage.mycorp.com
`;
      },
    });
    const policy = Deno.readTextFileSync(scene.policy);
    const both = `trust_domain: [${TRUST_DOMAIN}, stage.mycorp.com]`;
    Deno.writeTextFileSync(scene.policy, policy.replace(`trust_domain: ${TRUST_DOMAIN}`, both));
    await scene.gateway.process.stderr.match(/the policy was read anew/);
    await using pod = await scene.startPod({ namespace: "shop", account: "web" });
    const { folder, gateway: { port }, gatewayHosts } = scene;
    const token = folder.write("twin-token", await twin!.podToken({ namespace: "shop", account: "web" }));
    const agent = (state: string, ...args: string[]) => {
      const line = meshLine("agent", [
        ...["--gateway", `localhost:${port}`, "--known-hosts", gatewayHosts, "--token-file", token],
        ...["--state", folder.at(state), "--log", "json", ...args],
      ]);
      return new MeshCommand(start(line, { env: meshEnvironment(folder.at(state)) }));
    };
    {
      await using own = agent("own");
      await own.event("ready");
      const { text } = await scene.sshm("node", "ls", "--json");
      assert.ok(text.includes(`"${pod.fqdn}"`) && text.includes('"web.shop.svc.stage.mycorp.com"'), text);
    }
    await using thief = agent("thief", "--name", pod.fqdn);
    const { code } = await thief.process.status;
    assert.equal(code, 10);
    assert.match(String(thief.process.stderr), /web\.shop\.svc\.prod\.mycorp\.com/);
  },
);
