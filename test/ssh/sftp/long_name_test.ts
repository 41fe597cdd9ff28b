import assert from "node:assert/strict";
import { formatLongName, formatMode } from "../../../src/ssh/sftp/long_name.ts";

const MODES: [number, string][] = [
  [0o100644, "-rw-r--r--"],
  [0o040755, "drwxr-xr-x"],
  [0o120777, "lrwxrwxrwx"],
  [0o104755, "-rwsr-xr-x"],
  [0o104644, "-rwSr--r--"],
  [0o102755, "-rwxr-sr-x"],
  [0o041777, "drwxrwxrwt"],
  [0o041776, "drwxrwxrwT"],
  [0o020600, "crw-------"],
  [0o060600, "brw-------"],
  [0o010600, "prw-------"],
  [0o140600, "srw-------"],
  [0o000600, "?rw-------"],
];

Deno.test("modes look as ls shows them", () => {
  for (const [mode, text] of MODES) assert.equal(formatMode(mode), text);
});

const now = new Date(2026, 7, 20, 12, 0).getTime() / 1000;
const TIMES: [Date, string][] = [
  [new Date(2026, 7, 3, 4, 5), "Aug  3 04:05"],
  [new Date(2025, 0, 31, 4, 5), "Jan 31  2025"],
  [new Date(2026, 7, 21, 4, 5), "Aug 21  2026"],
];

Deno.test("a line has mode, links, owner, group, size, time and name", () => {
  for (const [date, time] of TIMES) {
    const modified = date.getTime() / 1000;
    const stat = {
      identity: "",
      size: 1234,
      uid: 0,
      gid: 0,
      mode: 0o100600,
      links: 2,
      accessed: 0,
      modified,
    };
    assert.equal(
      formatLongName("a b", stat, { user: "alice", group: "1000" }, now),
      `-rw-------   2 alice    1000         1234 ${time} a b`,
    );
  }
});
