import assert from "node:assert/strict";
import { parseHost, requestUrl } from "../../src/deno/web_host.ts";

Deno.test("a host has one spelling", () => {
  const cases: [string, string, string][] = [
    ["gw.example", "gw.example", "gw.example"],
    ["GW.Example:15022", "gw.example", "gw.example:15022"],
    ["gw.example.", "gw.example", "gw.example"],
    ["gw.example.:443", "gw.example", "gw.example:443"],
    ["localhost:0080", "localhost", "localhost:80"],
    ["10.0.0.1:8443", "10.0.0.1", "10.0.0.1:8443"],
    ["[::1]", "::1", "[::1]"],
    ["[2001:DB8::1]:443", "2001:db8::1", "[2001:db8::1]:443"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example"],
  ];
  for (const [text, name, authority] of cases) assert.deepEqual(parseHost(text), { name, authority }, text);
});

Deno.test("what is no host is refused", () => {
  const cases = [
    "",
    ":443",
    "gw.example:",
    "gw.example:65536",
    "gw.example:-1",
    "gw.example:1:2",
    "ann@gw.example",
    "ann:secret@gw.example",
    " gw.example",
    "gw.example ",
    "gw example",
    "gw.example/x",
    "gw.example?x",
    "gw.example#x",
    "gw.example\\x",
    "gw..example",
    ".gw.example",
    "-gw.example",
    "bücher.example",
    "gw%2eexample",
    "::1",
    "[::1",
    "[gw.example]",
    "gw.example,evil.example",
    "*.example",
    `${"a".repeat(64)}.example`,
    `${"a.".repeat(140)}example`,
  ];
  for (const text of cases) assert.equal(parseHost(text), undefined, JSON.stringify(text));
});

Deno.test("the URL of a request has the host that all agree on", () => {
  const covers = (name: string) => ["gw.example", "::1", "10.0.0.1"].includes(name);
  const cases: [string | undefined, string, string | undefined, string | undefined][] = [
    ["gw.example", "/a?b", "gw.example", "https://gw.example/a?b"],
    ["GW.example.:15022", "/", "gw.example", "https://gw.example:15022/"],
    ["gw.example", "/", undefined, "https://gw.example/"],
    ["[::1]:1", "/", undefined, "https://[::1]:1/"],
    ["gw.example", "//evil.example/x", "gw.example", "https://gw.example//evil.example/x"],
    ["gw.example", "/\\evil.example", "gw.example", "https://gw.example//evil.example"],
    ["gw.example", "https://gw.example", "gw.example", "https://gw.example/"],
    ["gw.example", "https://gw.example?x", "gw.example", "https://gw.example/?x"],
    ["gw.example", "https://ann@gw.example/", "gw.example", undefined],
    ["gw.example", "https://gw.example:1/", "gw.example", undefined],
    ["gw.example", "*", "gw.example", undefined],
    ["gw.example", "x", "gw.example", undefined],
    ["gw.example", "", "gw.example", undefined],
    ["gw.example", "/", "other.example", undefined],
    ["other.example", "/", undefined, undefined],
    ["0x0a000001", "/", undefined, undefined],
    ["10.1", "/", undefined, undefined],
    [undefined, "/", undefined, undefined],
  ];
  for (const [host, target, asked, expected] of cases) {
    const url = requestUrl(host, target, { covers, ...(asked && { asked }) });
    assert.equal(url?.href, expected, JSON.stringify([host, target, asked]));
  }
});
