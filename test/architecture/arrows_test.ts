import assert from "node:assert/strict";
import { importsOf, NOT_IN_AN_AGENT, readSources, roomOf, type Rule, RULES } from "./arrows.ts";

const project = readSources(new URL("../../", import.meta.url));

Deno.test("the graph is the real one", () => {
  assert.ok(project.size > 20);
  assert.ok(importsOf("src/streams/pair.ts", project.get("src/streams/pair.ts")!).length > 0);
});

for (const rule of RULES) {
  Deno.test(`the house: ${rule.sentence}`, () => assert.deepEqual(rule.check(project), []));
}

/** Per rule (by a part of its sentence) a project that breaks it, and how often. */
const BROKEN: [rule: string, sources: Record<string, string>, violations: string[]][] = [
  ["only itself and rooms below", {
    "src/keys/key.ts": 'import { x } from "../bytes/bytes.ts";\nimport type { Y } from "../ssh/wire/y.ts";',
    "src/bytes/bytes.ts": "export const x = 1;",
    "src/ssh/wire/y.ts": 'export type { K } from "../../keys/key.ts";',
    "src/ssh/session/s.ts": 'import {\n  sftp,\n} from "../sftp/sftp.ts";\nimport "../error.ts";',
    "src/identity/policy.ts": 'const lazy = await import("../routing/registry.ts");',
  }, [
    "src/keys/key.ts:2 imports src/ssh/wire/y.ts",
    "src/ssh/session/s.ts:1 imports src/ssh/sftp/sftp.ts",
    "src/identity/policy.ts:1 imports src/routing/registry.ts",
  ]],
  ["only cmd and test import the adapters", {
    "src/gateway/gateway.ts": 'import { net } from "../deno/net.ts";',
    "cmd/gateway.ts": 'import { net } from "../src/deno/net.ts";',
  }, ["src/gateway/gateway.ts:1 imports src/deno/net.ts"]],
  ["the adapters of src/deno may name", {
    "src/deno/net.ts":
      'import { Net } from "../platform/net.ts";\nimport { Server } from "../ssh/server.ts";',
    "src/deno/account.ts": 'import type { Account } from "../agent/login.ts";',
  }, ["src/deno/net.ts:2 imports src/ssh/server.ts"]],
  ["nothing imports cmd", {
    "src/agent/agent.ts": 'import "../../cmd/agent.ts";',
    "cmd/agent.ts": 'import "../test/support/tcp.ts";',
    "test/agent/agent_test.ts": 'import "../../cmd/agent.ts";',
  }, ["src/agent/agent.ts:1 imports cmd/agent.ts", "cmd/agent.ts:1 imports test/support/tcp.ts"]],
  ["never imports identity", {
    "src/ssh/server.ts": 'import type { Principal } from "../identity/principal.ts";',
    "src/ssh/auth/server.ts": 'import { authorize } from "../../identity/policy.ts";',
  }, [
    "src/ssh/server.ts:1 imports src/identity/principal.ts",
    "src/ssh/auth/server.ts:1 imports src/identity/policy.ts",
  ]],
  [
    "every room has a place",
    { "src/attic/box.ts": "", "src/ssh/attic/box.ts": "", "src/ssh/client.ts": "" },
    [
      "'attic' is in no row",
      "'ssh/attic' is in no row",
    ],
  ],
  ["name Deno or node:", {
    "src/keys/a.ts": 'import { Buffer } from "node:buffer";',
    "src/keys/b.ts": "/** Like Deno.readFile. */\nexport const args = Deno.args; // Deno.args",
    "src/keys/c.ts": "// Deno.args\n * Deno.args\nexport const Denominator = 1; // Deno.args",
    "src/deno/d.ts": "Deno.exit()",
  }, [
    'src/keys/a.ts:1 import { Buffer } from "node:buffer";',
    "src/keys/b.ts:2 export const args = Deno.args;",
  ]],
  ["a package is named as deno.json", {
    "src/keys/a.ts": 'import { z } from "npm:zod";\nimport { y } from "zod";\nimport "jsr:@std/assert";',
    "test/b.ts": 'import * as c from "https://example.com/c.ts";',
  }, [
    "src/keys/a.ts:1 imports npm:zod",
    "src/keys/a.ts:3 imports jsr:@std/assert",
    "test/b.ts:1 imports https://example.com/c.ts",
  ]],
  ["no room or file is a drawer", {
    "src/utils/a.ts": "",
    "src/keys/helper.ts": "",
    "test/common/x_test.ts": "",
    "src/routing/manager.ts": "",
    "src/keys/known_hosts.ts": "",
    "src/gateway/commonwealth.ts": "",
  }, ["src/utils/a.ts", "src/keys/helper.ts", "test/common/x_test.ts", "src/routing/manager.ts"]],
  ["an agent carries no", {
    "cmd/agent.ts":
      'import { Agent } from "../src/agent/agent.ts";\nimport type { Store } from "../src/store/store.ts";',
    "src/agent/agent.ts":
      'import { type A, type B } from "../routing/a.ts";\nimport { c, type D } from "./d.ts";\nimport "@x/y/z";',
    "src/agent/d.ts": 'export * from "zod/mini";\nconst lazy = () => import("../edge/sniff.ts");',
    "cmd/gateway.ts": 'import "yaml";',
  }, [
    "cmd/agent.ts → src/agent/agent.ts → src/agent/d.ts → zod/mini",
    "cmd/agent.ts → src/agent/agent.ts → src/agent/d.ts → src/edge/sniff.ts",
  ]],
  ["starts on its own code", {
    "cmd/agent.ts":
      'import { files } from "../src/deno/files.ts";\nconst os = await import("node:os");\nimport type { Z } from "zod";',
    "src/deno/files.ts": 'import * as fs from "node:fs/promises";\nexport { x } from "@x/y/z";',
    "cmd/gateway.ts": 'import "node:os";',
  }, [
    "cmd/agent.ts → src/deno/files.ts → node:fs/promises",
    "cmd/agent.ts → src/deno/files.ts → @x/y/z",
  ]],
];

for (const [part, sources, violations] of BROKEN) {
  Deno.test(`the rule '${part}…' finds what breaks it and nothing else`, () => {
    assert.deepEqual(ruleNamed(part).check(new Map(Object.entries(sources))), violations);
  });
}

Deno.test("every rule has an example that breaks it", () => {
  assert.deepEqual(new Set(BROKEN.map(([part]) => ruleNamed(part))), new Set(RULES));
});

Deno.test("what an agent must not carry is spelt as it is in this project", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)));
  const planned = ["store", "api", "edge", "ca", "x509"];
  const known = new Set([
    ...Object.keys(imports),
    ...[...project.keys()].map(roomOf),
    ...planned,
    "gateway",
    "routing",
  ]);
  for (const name of NOT_IN_AN_AGENT) assert.ok(known.has(name), name);
});

function ruleNamed(part: string): Rule {
  const found = RULES.filter(({ sentence }) => sentence.includes(part));
  assert.equal(found.length, 1, `one rule says '${part}'`);
  return found[0];
}
