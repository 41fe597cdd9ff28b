/** Configuration and policies that documents and examples show are read as the programs read them. */
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/gateway/config.ts";
import { parsePolicy } from "../../src/identity/policy/mod.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));

/** Blocks of YAML that begin with a comment which names the file. */
function yamlBlocks(document: string, file: string): string[] {
  return [...document.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text)
    .filter((text) => text.startsWith(`# ${file}`));
}

const documents = ["README.md", "PROTOCOL.md", "ARCHITECTURE.md"];

function readConfig(path: string, text: string) {
  return resolveConfig({
    flags: {},
    environment: () => undefined,
    file: { path, text },
    defaultState: "/state",
  });
}

Deno.test("examples/gateway.yaml and examples/policy.yaml are understood", () => {
  const config = readConfig("examples/gateway.yaml", read("examples/gateway.yaml"));
  assert.equal(config.domain, "gw.mycorp.com");
  assert.equal(config.issuers.length, 6);
  assert.equal(config.ca.profiles.length, 2);
  const policy = parsePolicy(read("examples/policy.yaml"), { file: "examples/policy.yaml" });
  assert.ok(policy.rules.length >= 5);
});

Deno.test("every policy and configuration in a document is understood", () => {
  let count = 0;
  for (const name of documents) {
    const text = read(name);
    for (const block of yamlBlocks(text, "policy.yaml")) {
      parsePolicy(block, { file: name });
      count++;
    }
    for (const block of yamlBlocks(text, "gateway.yaml")) {
      readConfig(name, block);
      count++;
    }
  }
  assert.ok(count >= 2);
});

Deno.test("multi-tenant issuers of the example do not start without their required claim", () => {
  const text = read("examples/gateway.yaml");
  const required = /^ {4}required_claims: .*\n/gm;
  assert.equal(text.match(required)!.length, 3);
  for (const [line] of text.matchAll(required)) {
    assert.throws(() => readConfig("examples/gateway.yaml", text.replace(line, "")), /required_claims/, line);
  }
});
