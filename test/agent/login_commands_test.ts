import assert from "node:assert/strict";
import { type Bytes, encodeText } from "../../src/bytes/bytes.ts";
import { outputOf, type SshdLoginHost } from "../../src/agent/login_commands.ts";
import type { FileStat } from "../../src/platform/files.ts";
import type { Child, PipeReader } from "../../src/platform/process.ts";

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
function host(chunks: readonly Bytes[], { code = 0, uid = 0, mode = 0o100755 } = {}) {
  const warnings: string[] = [];
  const child = {
    stdin: { close: () => Promise.resolve() },
    stdout: pipe(chunks),
    stderr: pipe([]),
    status: Promise.resolve({ code }),
  } as unknown as Child;
  const parts = {
    files: { stat: () => Promise.resolve({ uid, mode } as FileStat) },
    processes: { spawn: () => Promise.resolve(child) },
    after: () => () => {},
    warn: (sentence: string) => void warnings.push(sentence),
  } as unknown as SshdLoginHost;
  return { parts, warnings };
}

Deno.test("what a command says is the same text wherever its bytes are cut", async () => {
  const text = "ssh-ed25519 AAAA jürgen 鍵 🔑\n";
  const bytes = encodeText(text);
  for (let at = 0; at <= bytes.length; at++) {
    const { parts } = host([bytes.slice(0, at), bytes.slice(at)].filter(({ length }) => length > 0));
    assert.equal(await outputOf("/keys", [], parts), text);
  }
});

Deno.test("a command that fails, or that others may write, gives nothing", async () => {
  for (
    const [how, warning] of [
      [{ code: 1 }, /^\/keys ended with 1$/],
      [{ uid: 1000 }, /^\/keys must belong to root/],
      [{ mode: 0o100775 }, /^\/keys must belong to root/],
    ] as const
  ) {
    const { parts, warnings } = host([encodeText("key\n")], how);
    assert.equal(await outputOf("/keys", [], parts), "");
    assert.match(warnings[0], warning);
  }
});
