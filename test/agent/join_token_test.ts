import assert from "node:assert/strict";
import { parseJoinToken, readJoinToken } from "../../src/agent/join_token.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { readableFiles } from "../../src/deno/readable_files.ts";
import { temporaryFolder } from "../support/folder.ts";

const host = `SHA256:${"A".repeat(43)}`;
const content = { i: "id1", s: "geheim-secret", n: "web", h: [host] };

function tokenOf(value: unknown): string {
  return `sshm1.${encodeBase64Url(encodeText(JSON.stringify(value)))}`;
}

Deno.test("a join token says what it is called, for which name, and who the gateway is", () => {
  const text = tokenOf(content);
  assert.deepEqual(parseJoinToken(` ${text}\n`), { id: "id1", name: "web", hosts: [host], text });
});

const MALFORMED: readonly [string, string][] = [
  ["nothing", ""],
  ["another prefix", tokenOf(content).replace("sshm1", "sshm2")],
  ["a JSON Web Token", "eyJhbGciOiJub25lIn0.e30.geheim"],
  ["no base64", "sshm1.!!!geheim"],
  ["no JSON", `sshm1.${encodeBase64Url(encodeText("geheim"))}`],
  ["null", tokenOf(null)],
  ["no secret", tokenOf({ ...content, s: "" })],
  ["an id that is no word", tokenOf({ ...content, i: "geheim 2" })],
  ["no name", tokenOf({ ...content, n: undefined })],
  ["no list of hosts", tokenOf({ ...content, h: host })],
  ["a fingerprint of another hash", tokenOf({ ...content, h: [`MD5:${"a".repeat(32)}`] })],
  ["too many hosts", tokenOf({ ...content, h: Array(33).fill(host) })],
  ["one without end", tokenOf({ ...content, s: "geheim".repeat(2000) })],
];

for (const [what, text] of MALFORMED) {
  Deno.test(`no join token: ${what}; nothing of it is repeated`, () => {
    assert.throws(() => parseJoinToken(text), (error: Error) => {
      assert.ok(error instanceof TypeError);
      assert.doesNotMatch(error.message, /geheim/);
      return true;
    });
  });
}

Deno.test("@FILE names a file with the token; one that has gone may have done its work", async () => {
  using folder = temporaryFolder();
  const path = folder.write("join", `${tokenOf(content)}\n`);
  assert.equal((await readJoinToken(`@${path}`, readableFiles))?.id, "id1");
  assert.equal(await readJoinToken(`@${folder.at("gone")}`, readableFiles), undefined);
  folder.write("join", "geheim");
  await assert.rejects(readJoinToken(`@${path}`, readableFiles), { reason: "files" });
  await assert.rejects(readJoinToken("geheim", readableFiles), (error: Error & { reason?: string }) => {
    assert.equal(error.reason, "usage");
    assert.doesNotMatch(error.message, /geheim/);
    return true;
  });
});
