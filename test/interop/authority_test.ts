/** The authority itself: its roots change under live traffic, and it may be another machine's. */
import assert from "node:assert/strict";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { readWithKeygen } from "../support/certificate_text.ts";
import type { Folder } from "../support/folder.ts";
import { ANN, identityScene, type Person } from "../support/identity_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";

const SRE_MAY = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

/** Roots that somebody else keeps, in files: the first signs, the second is trusted. */
async function keptRoots(folder: Folder) {
  for (const kind of ["user", "host"]) {
    const first = await makeKey(folder, `first-${kind}`);
    const second = await makeKey(folder, `second-${kind}`);
    folder.write(`${kind}-signs`, folder.read(`first-${kind}`));
    folder.write(`${kind}-trusted`, `${second.line}\n`);
  }
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
    await using scene = await identityScene({
      prepare: keptRoots,
      args: (folder) => [
        ...["--ca-key", `user=${folder.at("user-signs")}`, "--ca-key", `user=${folder.at("user-trusted")}`],
        ...["--ca-key", `host=${folder.at("host-signs")}`, "--ca-key", `host=${folder.at("host-trusted")}`],
      ],
    });
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
