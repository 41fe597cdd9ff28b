import assert from "node:assert/strict";
import { type Bytes, encodeText } from "../../src/bytes/bytes.ts";
import { type LoginCommand, outputOf, type SshdLoginHost } from "../../src/agent/login_commands.ts";
import type { Account } from "../../src/agent/login.ts";
import type { FileStat } from "../../src/platform/files.ts";
import type { Child, Command, PipeReader } from "../../src/platform/process.ts";

const ROOT: Account = { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh", groups: ["root"] };
const ANN: Account = { ...ROOT, name: "ann", uid: 1000, gid: 1000, home: "/home/ann" };
const KEYS: LoginCommand = { file: "/keys", args: ["%"], user: "root" };

/** Gives `chunks`, one for each read. */
function pipe(chunks: readonly Bytes[]): PipeReader {
  const rest = [...chunks];
  return {
    read(into) {
      const chunk = rest.shift();
      if (chunk) into.set(chunk);
      return Promise.resolve(chunk ? chunk.length : null);
    },
    close() {},
  };
}

/** A machine whose one command says `chunks` and ends with `code`. */
function host(chunks: readonly Bytes[], { code = 0, uid = 0, mode = 0o100755, own = ROOT } = {}) {
  const warnings: string[] = [];
  const spawned: string[][] = [];
  const child = {
    stdin: { close: () => Promise.resolve() },
    stdout: pipe(chunks),
    stderr: pipe([]),
    status: Promise.resolve({ code }),
  } as unknown as Child;
  const parts = {
    files: {
      realpath: (path: string) => Promise.resolve(path),
      stat: () => Promise.resolve({ uid, mode } as FileStat),
    },
    processes: {
      spawn({ file, args }: Command) {
        spawned.push([file, ...args]);
        return Promise.resolve(child);
      },
    },
    own,
    findAccount: (name: string) =>
      Promise.resolve(name === "nobody" ? { ...own, name, uid: 65534 } : undefined),
    after: () => () => {},
    warn: (sentence: string) => void warnings.push(sentence),
  } as unknown as SshdLoginHost;
  return { parts, warnings, spawned };
}

Deno.test("what a command says is the same text wherever its bytes are cut", async () => {
  const text = "ssh-ed25519 AAAA jürgen 鍵 🔑\n";
  const bytes = encodeText(text);
  for (let at = 0; at <= bytes.length; at++) {
    const { parts } = host([bytes.slice(0, at), bytes.slice(at)].filter(({ length }) => length > 0));
    assert.equal(await outputOf(KEYS, parts), text);
  }
});

Deno.test("a command that fails, or that others may write, gives nothing", async () => {
  for (
    const [how, warning] of [
      [{ code: 1 }, /^\/keys ended with 1$/],
      [{ uid: 1000 }, /^\/keys is not run: \/keys belongs to somebody else/],
      [{ mode: 0o100775 }, /^\/keys is not run: \/keys can be written by others/],
    ] as const
  ) {
    const { parts, warnings } = host([encodeText("key\n")], how);
    assert.equal(await outputOf(KEYS, parts), "");
    assert.match(warnings[0], warning);
  }
});

Deno.test("a command runs as the user that it is to run as, or not at all", async () => {
  const rows: [own: Account, user: string, ran: string | undefined, warning?: RegExp][] = [
    [ROOT, "root", "/keys"],
    [ROOT, "nobody", "setpriv"],
    [ROOT, "nowhere", undefined, /there is no user nowhere/],
    [ANN, "ann", "/keys"],
    [ANN, "nobody", undefined, /cannot run as nobody: this agent runs as ann/],
  ];
  for (const [own, user, ran, warning] of rows) {
    const { parts, warnings, spawned } = host([encodeText("key\n")], { own });
    assert.equal(await outputOf({ ...KEYS, user }, parts), ran ? "key\n" : "", user);
    assert.equal(spawned[0]?.[0], ran, user);
    if (warning) assert.match(warnings[0], warning);
  }
});
