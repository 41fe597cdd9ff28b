/** The authority itself: its roots change under live traffic, and it may be another machine's. */
import assert from "node:assert/strict";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { readWithKeygen } from "../support/certificate_text.ts";
import type { Folder } from "../support/folder.ts";
import { ANN, BOB, identityScene, type Person, TRUST_DOMAIN } from "../support/identity_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, projectLine, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";

const SRE_MAY = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

/** Roots that somebody else keeps, in files: the first signs, the second is trusted. Resolves to the gateway's arguments. */
async function keptRoots(folder: Folder): Promise<string[]> {
  const args: string[] = [];
  for (const kind of ["user", "host"]) {
    await makeKey(folder, `first-${kind}`);
    const second = await makeKey(folder, `second-${kind}`);
    folder.write(`${kind}-signs`, folder.read(`first-${kind}`));
    folder.write(`${kind}-trusted`, `${second.line}\n`);
    for (const file of ["signs", "trusted"]) args.push("--ca-key", `${kind}=${folder.at(`${kind}-${file}`)}`);
  }
  return args;
}

/** A session on `host` that says what it is told. */
async function echoing(person: Person, host: string) {
  const session = start(person.line(["-o", "BatchMode=yes", host, "echo open; cat"]), {
    env: person.env,
    stdin: "piped",
  });
  await session.stdout.match(/^open$/);
  const writer = session.stdin!.getWriter();
  let count = 0;
  return {
    session,
    async echo() {
      const line = `line ${++count}`;
      await writer.write(new TextEncoder().encode(`${line}\n`));
      await session.stdout.match(new RegExp(`^${line}$`));
    },
    async [Symbol.asyncDispose]() {
      writer.releaseLock();
      await session[Symbol.asyncDispose]();
    },
  };
}

peerTest(
  "roots are rotated under live traffic: old certificates count, new ones are signed anew",
  [openssh],
  async (t) => {
    await using scene = await identityScene({ prepare: keptRoots });
    const { folder } = scene;
    await using pod = await scene.startPod({ namespace: "shop", account: "web" }, { args: SRE_MAY });
    const ann = await scene.person("ann", ANN);
    const authorityOf = async ({ certificate }: Person) =>
      (await readWithKeygen(certificate))["Signing CA"].split(" ")[1];
    const fingerprint = (name: string) => parsePublicKeyLine(folder.read(`${name}.pub`)).key.fingerprint();
    await ann.signIn();
    await using live = await echoing(ann, pod.fqdn);

    await t.step("the first root signs", async () => {
      assert.equal(await authorityOf(ann), await fingerprint("first-user"));
      await live.echo();
    });
    await t.step("after the files are swapped the second one does, and nothing was dropped", async () => {
      for (const kind of ["user", "host"]) {
        folder.write(`${kind}-trusted`, folder.read(`first-${kind}.pub`));
        folder.write(`${kind}-signs`, folder.read(`second-${kind}`));
      }
      const late = await scene.person("late", ANN);
      await waitUntil("the second root", async () => {
        await late.signIn();
        return await authorityOf(late) === await fingerprint("second-user");
      });
      await live.echo();
      assert.equal((await late.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"])).text, "in\n");
    });
    await t.step("a certificate by the first root still counts, at the gateway and on the pod", async () => {
      assert.equal(await authorityOf(ann), await fingerprint("first-user"));
      const landed = await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"], {
        env: { HOME: ann.folder.path },
      });
      assert.equal(landed.text, "in\n", landed.stderr);
      await live.echo();
    });
    await t.step("when it is trusted no more it is refused, and what came with it ends", async () => {
      for (const kind of ["user", "host"]) folder.write(`${kind}-trusted`, folder.read(`second-${kind}.pub`));
      await waitUntil("the end", () => live.session.exited, 10_000);
      const after = await ann.ssh(["-o", "BatchMode=yes", "gw", "whoami"], {
        env: { HOME: ann.folder.path },
      });
      assert.notEqual(after.code, 0);
    });
  },
);

peerTest(
  "roots that the gateway made are rotated by a command, and known after a restart",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod({ namespace: "shop", account: "web" }, { args: SRE_MAY });
    const ann = await scene.person("ann", ANN);
    await ann.signIn();
    await using live = await echoing(ann, pod.fqdn);
    const roots = async (kind: string) => (await scene.sshm("ca", kind)).text.trimEnd().split("\n");
    const [before] = await roots("user");
    for (const kind of ["user", "host", "x509"]) {
      const rotated = await scene.sshm("ca", "rotate", kind, "--overlap", "0");
      assert.equal(rotated.code, 0, rotated.stderr);
    }
    const [now, ...older] = await roots("user");
    assert.notEqual(now, before);
    assert.deepEqual(older, [before]);
    await t.step(
      "new certificates are by the new root, on both sides, and the old ones still count",
      async () => {
        const late = await scene.person("late", ANN);
        await waitUntil("the node's certificate by the new root", async () => {
          await late.signIn();
          return (await late.ssh(["-o", "BatchMode=yes", pod.fqdn, "true"])).code === 0;
        });
        const { text } = await succeed(["ssh-keygen", "-lf", scene.folder.write("now.pub", `${now}\n`)]);
        assert.ok((await readWithKeygen(late.certificate))["Signing CA"].includes(text.split(" ")[1]));
        const old = await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"], {
          env: { HOME: ann.folder.path },
        });
        assert.equal(old.text, "in\n", old.stderr);
        await live.echo();
      },
    );
    await t.step("only who has the right may", async () => {
      const { code } = await ann.ssh(["-o", "BatchMode=yes", "gw", "ca", "rotate", "user"], {
        env: { HOME: ann.folder.path },
      });
      assert.equal(code, 77);
    });
    await t.step("after a crash the same ones are there", async () => {
      const all = await roots("user");
      await scene.gateway.kill();
      scene.gateway = await scene.gateway.restart();
      assert.deepEqual(await roots("user"), all);
    });
  },
);

interface RunningAuthority extends AsyncDisposable {
  /** Arguments for the next gateway that uses it. @param name of the gateway there */
  gatewayArgs(name: string): Promise<string[]>;
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** `cmd/ca.ts` as people run it. */
async function startAuthority(folder: Folder): Promise<RunningAuthority> {
  const state = folder.at("ca");
  const env = meshEnvironment(folder.path);
  let url = "";
  let process = await run(0);
  async function run(port: number) {
    const args = [
      "--listen",
      `127.0.0.1:${port}`,
      "--trust-domain",
      TRUST_DOMAIN,
      "--state",
      state,
      "--log",
      "json",
    ];
    const command = new MeshCommand(start(projectLine("cmd/ca.ts", args), { env }));
    url = String((await command.event("ready")).url);
    return command;
  }
  return {
    async gatewayArgs(name) {
      const line = projectLine("cmd/ca.ts", ["token", "create", "--name", name, "--state", state]);
      return ["--ca", url, "--ca-join", (await succeed(line, { env })).text.trim()];
    },
    kill: async () => void await process.kill(),
    restart: async () => void (process = await run(Number(new URL(url).port))),
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

peerTest(
  "the authority is another machine's: the same for everybody, through its outage too",
  [openssh],
  async (t) => {
    await using stack = new AsyncDisposableStack();
    let authority: RunningAuthority | undefined;
    const scene = stack.use(
      await identityScene({
        async prepare(folder) {
          authority = await startAuthority(folder);
          return await authority.gatewayArgs("first");
        },
      }),
    );
    stack.use(authority!);
    const { folder } = scene;
    const pod = stack.use(await scene.startPod({ namespace: "shop", account: "web" }, { args: SRE_MAY }));
    const ann = await scene.person("ann", ANN);
    await t.step("a person signs in and lands on a pod", async () => {
      await ann.signIn();
      const { text, stderr } = await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"]);
      assert.equal(text, "in\n", stderr);
    });
    await t.step("the gateway keeps no root of its own", () => {
      const names = [...Deno.readDirSync(scene.gateway.state)].map(({ name }) => name);
      assert.ok(!names.some((name) => /^ca_(user|host|x509)/.test(name)), names.join(" "));
      assert.ok([...Deno.readDirSync(folder.at("ca"))].some(({ name }) => /^ca_user/.test(name)));
    });
    await t.step(
      "while it is away certificates count, new ones are refused with a sentence, and nothing is dropped",
      async () => {
        await using live = await echoing(ann, pod.fqdn);
        await authority!.kill();
        assert.equal((await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"])).text, "in\n");
        const bob = await scene.person("bob", BOB);
        const refused = await bob.ssh(["gw", "cert"], { stdin: `${bob.key.line}\n` });
        assert.equal(refused.code, 69, refused.stderr);
        assert.match(refused.stderr, /authority|reached/);
        await authority!.restart();
        await waitUntil("the authority again", async () => {
          return (await bob.ssh(["gw", "cert"], { stdin: `${bob.key.line}\n` })).code === 0;
        });
        await live.echo();
      },
    );
    await t.step("what one gateway revokes ends within five seconds at another one", async () => {
      const second = stack.use(
        await startGateway(folder, {
          name: "second",
          owners: [scene.owner.line],
          args: [
            "--config",
            folder.at("gateway.yaml"),
            "--policy",
            scene.policy,
            ...await authority!.gatewayArgs("second"),
          ],
        }),
      );
      const late = await scene.person("late", ANN);
      await late.signIn();
      // The same certificate, the other gateway: a registration that stays open there.
      const hosts = folder.write("late/second_hosts", `localhost ${second.hostKey.bare}\n`);
      const options = [
        `UserKnownHostsFile=${hosts}`,
        "BatchMode=yes",
        `IdentityFile=${late.key.path}`,
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "HostKeyAlias=localhost",
        "PreferredAuthentications=publickey",
      ].flatMap((option) => ["-o", option]);
      const line = openssh.line(
        "ssh",
        "-F",
        "none",
        ...options,
        "-p",
        `${second.port}`,
        "-v",
        "-N",
        "late@127.0.0.1",
      );
      await using open = start(line);
      await open.stderr.match(/Authenticated to /);
      assert.equal((await scene.sshm("revoke", "key", late.key.fingerprint)).code, 0);
      const began = performance.now();
      await waitUntil("the end", () => open.exited, 10_000);
      assert.ok(performance.now() - began < 5000);
    });
  },
);
