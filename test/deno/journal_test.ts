import assert from "node:assert/strict";
import { FileJournal, type JournalFile, MAX_HELD_LINES } from "../../src/deno/journal.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { temporaryFolder } from "../support/folder.ts";

/** A file on a disk that has room for `room` bytes. */
class SmallDisk implements JournalFile {
  text = "";
  closed = false;
  /** Whether a file can be cut off. */
  cuts = true;

  constructor(public room: number) {}

  write(bytes: Uint8Array): Promise<number> {
    const count = Math.min(this.room - this.text.length, bytes.length);
    if (count <= 0) return Promise.reject(new Error("no space left on device"));
    this.text += new TextDecoder().decode(bytes.subarray(0, count));
    return Promise.resolve(count);
  }

  truncate(length = 0): Promise<void> {
    if (!this.cuts) return Promise.reject(new Error("not possible"));
    this.text = this.text.slice(0, length);
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
  }
}

function journalOn(disk: SmallDisk) {
  const told: string[] = [];
  const limits = {
    maxBytes: 1e9,
    keep: 1,
    onDelay: (cause: unknown) => void told.push(`wait: ${(cause as Error).message}`),
    onLoss: (cause: unknown) => void told.push(`lost: ${(cause as Error).message}`),
  };
  return { journal: new FileJournal("unused", limits, disk, 0, false), told };
}

Deno.test("what a full disk does not take waits for room, in order and whole", async () => {
  const disk = new SmallDisk(10);
  const { journal, told } = journalOn(disk);
  for (const line of ["one", "two", "three", "four"]) {
    journal.append(line);
    await journal.flush();
  }
  assert.equal(disk.text, "one\ntwo\n");
  assert.deepEqual(told, ["wait: no space left on device"]);
  disk.room = 100;
  journal.append("five");
  await journal.close();
  assert.equal(disk.text, "one\ntwo\nthree\nfour\nfive\n");
  assert.equal(told.length, 1);
  assert.ok(disk.closed);
});

Deno.test("a part of a line that cannot be taken back ends there", async () => {
  const disk = new SmallDisk(6);
  disk.cuts = false;
  const { journal } = journalOn(disk);
  journal.append("one");
  await journal.flush();
  journal.append("two");
  await journal.flush();
  disk.room = 100;
  await journal.close();
  assert.equal(disk.text, "one\ntw\ntwo\n");
});

Deno.test("of too many lines that wait the newest are lost, which is told and counted", async () => {
  const disk = new SmallDisk(0);
  const { journal, told } = journalOn(disk);
  journal.append("0");
  await journal.flush();
  for (let i = 1; i <= MAX_HELD_LINES; i++) journal.append(`${i}`);
  await journal.flush();
  assert.deepEqual(told, ["wait: no space left on device", "lost: more lines wait than are kept"]);
  disk.room = 1e6;
  await journal.close();
  const lines = disk.text.trimEnd().split("\n");
  assert.equal(lines.filter((line) => /^\d+$/.test(line)).at(-1), `${MAX_HELD_LINES - 1}`);
  assert.equal(lines.filter((line) => line === '{"event":"lines-lost","count":1}').length, 1);
});

Deno.test("what waits at the end is lost, and told", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  // The device that is always full.
  Deno.symlinkSync("/dev/full", folder.at("state/log"));
  const told: unknown[] = [];
  const note = (cause: unknown) => void told.push(cause);
  const journal = await state.openJournal("log", { maxBytes: 10, keep: 1, onDelay: note, onLoss: note });
  for (const line of ["lost", "lost too"]) {
    journal.append(line);
    await journal.flush();
  }
  assert.equal(told.length, 1);
  assert.match(String(told[0]), /no space left/i);
  await journal.close();
  assert.match(String(told[1]), /they could not be written/);
  state.close();
});
