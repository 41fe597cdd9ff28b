import assert from "node:assert/strict";
import fc from "fast-check";
import { printable, printableLines } from "../../src/bytes/printable.ts";

const lines: readonly (readonly [what: string, text: string, shown: string])[] = [
  ["ordinary names", "ann@mycorp.com", "ann@mycorp.com"],
  ["other scripts", "Zoë Ωμέγα 山田 🙂", "Zoë Ωμέγα 山田 🙂"],
  ["a backslash", "CORP\\ann", "CORP\\ann"],
  ["a forged line", "ann\r\naccepted root", "ann\\u{d}\\u{a}accepted root"],
  ["an escape sequence", "\x1b[2J\x07", "\\u{1b}[2J\\u{7}"],
  ["a C1 control", "\x9b31m", "\\u{9b}31m"],
  ["NUL and DEL", "a\0b\x7f", "a\\u{0}b\\u{7f}"],
  ["bidirectional marks", "\u202etoor\u2066\u200f", "\\u{202e}toor\\u{2066}\\u{200f}"],
  ["zero width characters", "ro\u200bot\ufeff", "ro\\u{200b}ot\\u{feff}"],
  ["line separators", "a\u2028b\u2029", "a\\u{2028}b\\u{2029}"],
  ["invisible tags", "a\u{e0041}", "a\\u{e0041}"],
  ["a lone surrogate", "a\ud800b", "a\\u{d800}b"],
];

for (const [what, text, shown] of lines) {
  Deno.test(`printable: ${what}`, () => assert.equal(printable(text), shown));
}

Deno.test("a long text is cut, where the cut shows", () => {
  assert.equal(printable("x".repeat(300)), "x".repeat(256) + "…");
  assert.equal(printable("abcdef", 3), "abc…");
});

Deno.test("whatever goes in, one line without controls comes out", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      assert.doesNotMatch(printableLines(text), /[^\n\t\P{Cc}]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 200 },
  );
});

Deno.test("lines and tabs of a banner stay, everything else shows", () => {
  assert.equal(printableLines("Keep\r\nout!\n\tNow\x1b[0m\r"), "Keep\nout!\n\tNow\\u{1b}[0m\\u{d}");
});
