import assert from "node:assert/strict";
import fc from "fast-check";
import { joinArguments, splitArguments, splitLine } from "../../../src/agent/sshd_config/lexer.ts";

Deno.test("a line is keyword and rest, in all the ways to separate them", () => {
  const table: [string, ReturnType<typeof splitLine>][] = [
    ["", undefined],
    ["   # comment", undefined],
    ["Port 22", { keyword: "Port", rest: "22" }],
    ["\t Port\t22 \r", { keyword: "Port", rest: "22" }],
    ["Port=22", { keyword: "Port", rest: "22" }],
    ["Port = 22", { keyword: "Port", rest: "22" }],
    ['"Port" 22', { keyword: "Port", rest: "22" }],
    ["Port", { keyword: "Port", rest: "" }],
    ['Banner "/a b"', { keyword: "Banner", rest: '"/a b"' }],
  ];
  for (const [text, expected] of table) assert.deepEqual(splitLine(text), expected, text);
});

Deno.test("arguments have quotes, escapes and comments", () => {
  const table: [string, string[]][] = [
    ["a b\tc", ["a", "b", "c"]],
    ['"a b" c', ["a b", "c"]],
    ["'a \"b'", ['a "b']],
    ['a"b c"d', ["ab cd"]],
    ["a\\ b", ["a b"]],
    ['a\\"b', ['a"b']],
    ["a\\nb", ["a\\nb"]],
    ["a # b", ["a"]],
    ["a#b", ["a#b"]],
    ['"# no" x', ["# no", "x"]],
    ['""', [""]],
    ["", []],
  ];
  for (const [text, expected] of table) assert.deepEqual(splitArguments(text), expected, text);
  for (const text of ['"a', "'a", 'a "b" "']) assert.throws(() => splitArguments(text), TypeError);
});

Deno.test("joined arguments split into the same again", () => {
  fc.assert(fc.property(fc.array(fc.string()), (args) => {
    assert.deepEqual(splitArguments(joinArguments(args)), args);
  }));
});
