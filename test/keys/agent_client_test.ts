import assert from "node:assert/strict";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { AgentClient, AgentError } from "../../src/keys/agent_client.ts";
import { parsePrivateKey } from "../../src/keys/private_key.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { inFolder, keyFile, run, writeSecret } from "./tools.ts";

/** Runs the real ssh-agent on a socket, `use`s it, ends it. */
async function withAgent(use: (socket: string, folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const socket = `${folder}/agent`;
    const agent = new Deno.Command("ssh-agent", {
      args: ["-D", "-a", socket],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = agent.stdout.getReader();
    try {
      // It says where it listens once it does.
      assert.ok(!(await reader.read()).done);
      await use(socket, folder);
    } finally {
      agent.kill("SIGTERM");
      await reader.cancel();
      await agent.status;
    }
  });
}

const files = ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"];

Deno.test("the keys of ssh-agent sign, with SHA-2 for RSA, and certificates come along", async () => {
  await withAgent(async (socket, folder) => {
    for (const file of files) await writeSecret(`${folder}/${file}`, await keyFile(file));
    await Deno.writeTextFile(`${folder}/rsa.pub`, await keyFile("rsa.pub"));
    await run("ssh-keygen", ["-q", "-s", `${folder}/ed25519`, "-I", "id", "-n", "ann", `${folder}/rsa.pub`]);
    const environment = { ...Deno.env.toObject(), SSH_AUTH_SOCK: socket };
    const args = files.map((file) => `${folder}/${file}`);
    const added = await new Deno.Command("ssh-add", { args, env: environment, stderr: "piped" }).output();
    assert.equal(added.code, 0, new TextDecoder().decode(added.stderr));

    const client = new AgentClient(await Deno.connect({ transport: "unix", path: socket }));
    const identities = await client.identities();
    assert.deepEqual(identities.map(({ publicKey }) => publicKey.type).sort(), [
      "ecdsa-sha2-nistp256",
      "ecdsa-sha2-nistp384",
      "ecdsa-sha2-nistp521",
      "ssh-ed25519",
      "ssh-rsa",
    ]);
    const data = new Uint8Array([1, 2, 3]);
    await Promise.all(
      identities.flatMap(({ publicKey, sign }) =>
        publicKey.signatureAlgorithms.map(async (algorithm) => {
          const signature = await sign(algorithm, data);
          assert.ok(await publicKey.verify(algorithm, signature, data), algorithm);
        })
      ),
    );
    const certified = identities.filter(({ certificate }) => certificate);
    assert.deepEqual(certified.map(({ publicKey }) => publicKey.type), ["ssh-rsa"]);
    assert.deepEqual(parseCertificate(certified[0].certificate!).principals, ["ann"]);
    assert.equal(identities.find(({ publicKey }) => publicKey.type === "ssh-ed25519")?.comment, "c ed25519");

    // Without its keys the agent refuses, and the connection goes on.
    const removed = await new Deno.Command("ssh-add", { args: ["-D"], env: environment, stderr: "null" })
      .output();
    assert.equal(removed.code, 0);
    await assert.rejects(
      identities[0].sign(identities[0].publicKey.signatureAlgorithms[0], data),
      refused("refused"),
    );
    assert.deepEqual(await client.identities(), []);
    client.close();
  });
});

function refused(code: AgentError["code"]) {
  return (error: unknown) => {
    assert.ok(error instanceof AgentError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

/** An agent that answers each request with the next message. */
async function scripted(answers: Bytes[], use: (client: AgentClient) => Promise<void>): Promise<void> {
  const [near, far] = duplexPair();
  const serve = (async () => {
    for (const answer of answers) {
      if (await far.read(new Uint8Array(65536)) === null) return;
      await far.write(answer);
    }
    await far.read(new Uint8Array(65536)).catch(() => null);
    await far.closeWrite();
  })();
  const client = new AgentClient(near);
  await use(client);
  client.close();
  await serve.catch(() => {});
}

const message = (content: Bytes) => new Writer().string(content).finish().slice();

Deno.test("an agent that signs with SHA-1 all the same is not believed", async () => {
  const key = await parsePrivateKey(await keyFile("rsa"));
  const list = message(new Writer().byte(12).uint32(1).string(key.publicKey.blob).string("c").finish());
  const old = new Writer().string("ssh-rsa").string(new Uint8Array(256)).finish();
  await scripted([list, message(new Writer().byte(14).string(old).finish())], async (client) => {
    const [identity] = await client.identities();
    await assert.rejects(identity.sign("rsa-sha2-512", new Uint8Array(1)), refused("protocol"));
    await assert.rejects(identity.sign("ssh-rsa", new Uint8Array(1)), TypeError);
  });
});

Deno.test("keys of types that are not known are left out", async () => {
  const dss = new Writer().string("ssh-dss").string("x").finish();
  const key = await parsePrivateKey(await keyFile("ed25519"));
  const broken = key.publicKey.blob.slice(0, 30);
  const list = new Writer().byte(12).uint32(3);
  for (const blob of [dss, broken, key.publicKey.blob]) list.string(blob).string("");
  await scripted([message(list.finish())], async (client) => {
    assert.equal((await client.identities()).length, 1);
  });
});

Deno.test("messages of impossible length and agents that go away are errors, not waits", async () => {
  await scripted([new Writer().uint32(0xffffffff).finish()], async (client) => {
    await assert.rejects(client.identities(), refused("protocol"));
  });
  await scripted([new Writer().uint32(0).finish()], async (client) => {
    await assert.rejects(client.identities(), refused("protocol"));
  });
  await scripted([], async (client) => {
    await assert.rejects(client.identities(), refused("closed"));
  });
  await scripted([message(new Writer().byte(12).uint32(0xffffffff).finish())], async (client) => {
    await assert.rejects(client.identities(), refused("protocol"));
  });
});
