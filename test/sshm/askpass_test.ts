import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_PIECE, pieces, readPrompt } from "../../src/sshm/askpass.ts";
import type { Folder } from "../support/folder.ts";
import { sharedFolder, temporaryFolder } from "../support/folder.ts";
import { type KeyFile, knownHost, makeKey } from "../support/keygen.ts";
import { FIRST, NEXT, startAskingServer } from "../support/asking_server.ts";
import { askpassEnvironment, askpassFile } from "../support/askpass.ts";
import { meshLine } from "../support/mesh.ts";
import { openssh, opensshNewest, type Peer, peerStep, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { opensshOptions } from "../support/stock_client.ts";

Deno.test("what ssh shows for the gateway's questions is understood, and who asks", () => {
  assert.deepEqual(readPrompt("(ann@gw.mycorp.com) Token: "), {
    question: "whole",
    user: "ann",
    host: "gw.mycorp.com",
  });
  assert.deepEqual(readPrompt(`(ann@mycorp.com@GW) ${FIRST}`), {
    question: "first",
    user: "ann@mycorp.com",
    host: "gw",
  });
  assert.deepEqual(readPrompt(`(ann@::1) ${NEXT}`), { question: "next", user: "ann", host: "::1" });
});

Deno.test("no other prompt is a question of the gateway's, however a server words it", () => {
  const others = [
    "Token: ", // an ssh that does not say who asks
    "ann@gw's password: ",
    "(ann@gw) Password: ",
    "(ann@gw) Token:",
    "(ann@gw)  Token: ",
    "(ann@gw) Token: \n",
    "(app@web) ann@gw) Token: ",
    "(app@web) (ann@gw) Token: ",
    "x(ann@gw) Token: ",
    "(@gw) Token: ",
    "(ann@) Token: ",
    "(ann@gw web) Token: ",
    "(ann@gw) constructor",
    "Enter passphrase for key '/home/ann/.ssh/id_ed25519': ",
    "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
    "",
  ];
  for (const prompt of others) assert.equal(readPrompt(prompt), undefined, prompt);
});

Deno.test("pieces are short enough, end in + where more follow, and join to the token", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9._-]{1,4000}$/), (token) => {
      const all = pieces(token);
      assert.ok(all.every((piece) => piece.length <= MAX_PIECE));
      assert.ok(all.slice(0, -1).every((piece) => piece.endsWith("+")) && !all.at(-1)!.endsWith("+"));
      assert.equal(all.map((piece) => piece.replace(/\+$/, "")).join(""), token);
    }),
    { numRuns: 50 },
  );
  assert.deepEqual(pieces("x".repeat(MAX_PIECE)).length, 1);
  assert.deepEqual(pieces("x".repeat(MAX_PIECE + 1)).map((piece) => piece.length), [MAX_PIECE, 2]);
});

/** A JWT's shape and `length`. */
const madeToken = (length: number) =>
  `eyJhbGciOiJSUzI1NiJ9.${"aZ09_-".repeat(length)}`.slice(0, length - 4) + ".sig";

const asking = (folder: Folder, variables: Record<string, string>, host = "127.0.0.1") =>
  askpassEnvironment(folder, `${host}:15022`, variables);

async function loginWith(
  peer: Peer,
  folder: Folder,
  hostKey: KeyFile,
  port: number,
  env: Record<string, string>,
) {
  const options = [
    "BatchMode=no",
    "PubkeyAuthentication=no",
    "NumberOfPasswordPrompts=1",
  ];
  const knownHosts = folder.write("known_hosts", knownHost(port, hostKey));
  const line = peer.line(
    "ssh",
    ...opensshOptions({ port, knownHosts, options }),
    ...["-p", `${port}`, "ann@127.0.0.1", "whoami"],
  );
  return await run(line, {
    env: { ...env, SSH_ASKPASS: askpassFile(folder), SSH_ASKPASS_REQUIRE: "force" },
  });
}

peerTest(
  "stock ssh gets a token of any length from askpass, whole, and leaves nothing behind",
  [openssh],
  async (t) => {
    using folder = temporaryFolder();
    const hostKey = await makeKey(folder, "host");
    for (const length of [300, 1000, 1001, 2600]) {
      await t.step(`${length} characters`, async () => {
        await using server = await startAskingServer(hostKey, { first: FIRST, next: NEXT });
        const token = madeToken(length);
        const path = folder.write("token", `${token}\n`);
        const { stderr } = await loginWith(
          openssh,
          folder,
          hostKey,
          server.port,
          asking(folder, { SSHM_TOKEN_FILE: path }),
        );
        assert.deepEqual(server.given, [token], stderr);
        // ssh goes on to the method password, whose prompt is its own: no token, no answer.
        assert.deepEqual(server.passwords, [""]);
        assert.match(stderr, /askpass answers the gateway's question for a token and nothing else/);
        assert.deepEqual(
          [...Deno.readDirSync(folder.at("run"))].flatMap(({ name }) =>
            [...Deno.readDirSync(folder.at(`run/${name}`))].map((file) => file.name)
          ),
          [],
        );
      });
    }
  },
);

peerTest(
  "a command that prints another token each time gives one token, not halves of two",
  [openssh],
  async () => {
    using folder = temporaryFolder();
    const hostKey = await makeKey(folder, "host");
    await using server = await startAskingServer(hostKey, { first: FIRST, next: NEXT });
    folder.write("count", "0");
    const command = `n=$(($(cat ${folder.at("count")}) + 1)); echo $n > ${
      folder.at("count")
    }; printf '%02000d' $n | tr 0 $n`;
    await loginWith(openssh, folder, hostKey, server.port, asking(folder, { SSHM_TOKEN_COMMAND: command }));
    assert.deepEqual(server.given, ["1".repeat(2000)]);
  },
);

peerTest(
  "a node that asks like the gateway gets nothing, nor does one that asks for a password",
  [openssh],
  async (t) => {
    using folder = temporaryFolder();
    const hostKey = await makeKey(folder, "host");
    const token = madeToken(400);
    const path = folder.write("token", token);
    const questions: [name: string, words: { first: string; next: string }, host: string][] = [
      ["the same words from another host", { first: FIRST, next: NEXT }, "gw.mycorp.com"],
      [
        "the gateway's name within the words",
        { first: `ann@gw.mycorp.com) Token: `, next: NEXT },
        "gw.mycorp.com",
      ],
      ["words that look like ssh's own", { first: `(ann@127.0.0.1) Token: `, next: NEXT }, "127.0.0.1"],
      ["a password", { first: "Password: ", next: NEXT }, "127.0.0.1"],
    ];
    for (const [name, words, host] of questions) {
      await t.step(name, async () => {
        await using server = await startAskingServer(hostKey, words);
        const env = asking(folder, { SSHM_TOKEN_FILE: path }, host);
        const { code, stderr } = await loginWith(openssh, folder, hostKey, server.port, env);
        assert.equal(code, 255);
        assert.ok(server.given.concat(server.passwords).every((said) => said === ""), stderr);
        assert.doesNotMatch(stderr, new RegExp(token.slice(-20)));
      });
    }
  },
);

/** Runs `sshm PROMPT` as ssh would. */
function ask(folder: Folder, prompt: string, variables: Record<string, string>, host?: string) {
  return run(meshLine("sshm", [prompt]), { env: asking(folder, variables, host) });
}

Deno.test("what is no question of the gateway's ends with exit 1, one sentence, and no output", async () => {
  using folder = temporaryFolder();
  const token = folder.write("token", madeToken(1500));
  const named = { SSHM_TOKEN_FILE: token };
  const cases: [prompt: string, variables: Record<string, string>, sentence: RegExp][] = [
    ["ann@web's password: ", named, /nothing else; this is none: 'ann@web's password: '/],
    ["Are you sure you want to continue connecting (yes/no)? ", named, /nothing else/],
    ["Enter passphrase for key '/root/.ssh/id': ", named, /nothing else/],
    [`(app@web) ${FIRST}`, named, /'web' asks for a token and is not the gateway 127\.0\.0\.1/],
    ["(ann@127.0.0.1) Token: ", named, /longer than ssh passes on/],
    [`(ann@127.0.0.1) ${NEXT}`, named, /none was begun here/],
    [`(ann@127.0.0.1) ${FIRST}`, {}, /there is no token/],
    [
      `(ann@127.0.0.1) ${FIRST}`,
      { SSHM_TOKEN_COMMAND: "echo >&2 no such account; exit 3" },
      /exit 3\): no such account/,
    ],
    [`(ann@127.0.0.1) ${FIRST}`, { SSHM_TOKEN_COMMAND: "echo not a token" }, /something that is no token/],
    [`(ann@127.0.0.1) ${FIRST}`, { ...named, SSHM_GATEWAY: "" }, /say which in SSHM_GATEWAY/],
  ];
  for (const [prompt, variables, sentence] of cases) {
    const { code, text, stderr } = await ask(folder, prompt, variables);
    assert.ok(code === 1 || code === 3, `${prompt}: exit ${code}`);
    assert.equal(text, "", prompt);
    assert.match(stderr, sentence);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
});

Deno.test("the rest of a token is its user's alone, is never the whole, and a gateway's alias may ask", async () => {
  using folder = temporaryFolder();
  const token = madeToken(1500);
  const variables = { SSHM_TOKEN_FILE: folder.write("token", token), SSHM_ASKPASS_HOSTS: "mesh.example, GW" };
  const first = await ask(folder, `(ann@gw) ${FIRST}`, variables);
  assert.equal(first.text, `${token.slice(0, MAX_PIECE - 1)}+\n`, first.stderr);
  const [{ name }] = [...Deno.readDirSync(folder.at("run/ssh-mesh"))];
  const path = folder.at(`run/ssh-mesh/${name}`);
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
  assert.equal(Deno.statSync(folder.at("run/ssh-mesh")).mode! & 0o777, 0o700);
  assert.ok(!Deno.readTextFileSync(path).includes(token.slice(0, 20)));
  // Another addressee of the same ssh, and an old rest, are not served from it.
  assert.equal((await ask(folder, `(bob@gw) ${NEXT}`, variables)).code, 1);
  Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace(/"at":\d+/, '"at":1000'));
  assert.equal((await ask(folder, `(ann@gw) ${NEXT}`, variables)).code, 1);
  // What was left behind goes when the next token is begun.
  Deno.utimeSync(path, 1000, 1000);
  await ask(folder, `(eve@gw) ${FIRST}`, {
    ...variables,
    SSHM_TOKEN_FILE: folder.write("short", madeToken(100)),
  });
  assert.deepEqual([...Deno.readDirSync(folder.at("run/ssh-mesh"))], []);
});

Deno.test("a folder for the rest that others can enter is not used", async () => {
  using folder = temporaryFolder();
  const variables = { SSHM_TOKEN_FILE: folder.write("token", madeToken(1500)) };
  Deno.mkdirSync(folder.at("run/ssh-mesh"), { recursive: true });
  Deno.chmodSync(folder.at("run/ssh-mesh"), 0o755);
  const { code, text, stderr } = await ask(folder, `(ann@127.0.0.1) ${FIRST}`, variables);
  assert.deepEqual([code, text], [1, ""]);
  assert.match(stderr, /is open to others/);
});

Deno.test("a stored token serves, unless others can read it", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".local/state/ssh-mesh"), { recursive: true, mode: 0o700 });
  const path = folder.write(".local/state/ssh-mesh/token", madeToken(300));
  assert.equal((await ask(folder, `(ann@127.0.0.1) ${FIRST}`, {})).text, `${madeToken(300)}\n`);
  Deno.chmodSync(path, 0o644);
  const open = await ask(folder, `(ann@127.0.0.1) ${FIRST}`, {});
  assert.equal(open.code, 3);
  assert.match(open.stderr, /has mode 0644/);
});

peerTest("the newest ssh shows the questions in the same way", [opensshNewest], async (t) => {
  using folder = sharedFolder();
  const hostKey = await makeKey(folder, "host");
  await peerStep(t, "asked through a program in its tree", [opensshNewest], async () => {
    await using server = await startAskingServer(hostKey, { first: FIRST, next: NEXT });
    // Nothing of ours runs in that tree: this writes down what it is asked.
    const script = folder.write(
      "askpass",
      `#!/bin/sh\nprintf '%s\\n' "$1" >> ${
        folder.at("asked")
      }\ncase "$1" in *first*) echo abc+ ;; *) echo def ;; esac\n`,
      0o700,
    );
    const knownHosts = folder.write("known_hosts", knownHost(server.port, hostKey));
    const options = ["BatchMode=no", "PubkeyAuthentication=no", "NumberOfPasswordPrompts=1"];
    await run(
      opensshNewest.line(
        "ssh",
        ...opensshOptions({ port: server.port, knownHosts, options }),
        ...["-p", `${server.port}`, "ann@127.0.0.1", "whoami"],
      ),
      { env: { SSH_ASKPASS: script, SSH_ASKPASS_REQUIRE: "force" } },
    );
    assert.deepEqual(server.given, ["abcdef"]);
    assert.deepEqual(folder.read("asked").trimEnd().split("\n").map((line) => readPrompt(line)?.question), [
      "first",
      "next",
      undefined, // ann@127.0.0.1's password:
    ]);
  });
});
