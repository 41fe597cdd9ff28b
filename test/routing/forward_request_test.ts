import assert from "node:assert/strict";
import { classifyDirect, classifyForward, type NamingContext } from "../../src/routing/forward_request.ts";

const context: NamingContext = {
  domain: "mesh.example",
  gatewayNames: ["gw1.example"],
  ownName: "db.shop.svc.prod.example",
};
const OWN = "db.shop.svc.prod.example";

/** Address and port asked; kind; name or hostname; port; answer; published. */
const table: [string, number, string, string, number, number, boolean?][] = [
  ["web", 22, "node-port", "web.mesh.example", 22, 22],
  ["web", 5432, "node-port", "web.mesh.example", 5432, 5432],
  ["WEB.mesh.example.", 22, "node-port", "web.mesh.example", 22, 22],
  ["web.elsewhere.example", 22, "node-port", "web.elsewhere.example", 22, 22],
  ["web", 80, "node-port", "web.mesh.example", 80, 80, true],
  ["web", 443, "node-port", "web.mesh.example", 443, 443, true],
  ["web", 0, "node-port", "web.mesh.example", 22, 15022],
  ["web", 15008, "node-port", "web.mesh.example", 15008, 15008],
  ...["", "*", "localhost", "LOCALHOST", "127.0.0.1", "::1", "0.0.0.0", "::"].flatMap((
    address,
  ): typeof table => [
    [address, 22, "own-name", OWN, 22, 22],
    [address, 80, "own-name", OWN, 80, 80, true],
    [address, 443, "own-name", OWN, 443, 443, true],
    [address, 0, "own-name", OWN, 22, 15022],
  ]),
  ["", 15008, "mesh", OWN, 15008, 15008],
  ["*", 15443, "mesh", OWN, 15443, 15443],
  ["0.0.0.0", 15010, "mesh", OWN, 15010, 15010],
  ["localhost", 15008, "listener", "127.0.0.1", 15008, 15008],
  ["localhost", 8080, "listener", "127.0.0.1", 8080, 8080],
  ["127.0.0.1", 8080, "listener", "127.0.0.1", 8080, 8080],
  ["*", 8080, "listener", "0.0.0.0", 8080, 8080],
  ["", 8080, "listener", "0.0.0.0", 8080, 8080],
];

for (const [address, port, kind, place, served, answerPort, publish] of table) {
  Deno.test(`-R '${address}':${port} is a ${kind} at ${place}:${served}, answered ${answerPort}`, () => {
    const request = classifyForward(address, port, context);
    assert.equal(request.kind, kind);
    assert(request.kind !== "refused");
    assert.equal("name" in request ? request.name : request.hostname, place);
    assert.deepEqual([request.port, request.answerPort], [served, answerPort]);
    if ("publish" in request) assert.equal(request.publish, publish ?? false);
  });
}

Deno.test("-R requests that nobody is granted are refused with a sentence", () => {
  const refused: [string, number, RegExp, NamingContext?][] = [
    ["10.0.0.1", 22, /IP address/],
    ["::ffff:10.0.0.1", 80, /IP address/],
    ["fd00::1", 8080, /IP address/],
    ["127.1", 22, /number or an IP address/],
    ["a_b", 22, /letters, digits/],
    ["web", 65536, /no port/],
    ["web", -1, /no port/],
    ["web", 2.5, /no port/],
    ["mesh.example", 22, /belongs to the gateway/],
    ["gw1.example.", 22, /belongs to the gateway/],
    ["x.localhost", 22, /belongs to the gateway/],
    ["", 22, /belongs to the gateway/, { ...context, ownName: "gw1.example" }],
    ["", 22, /no name of its own: ask for one \(--name NAME, or with ssh -R NAME:22:…\)/, {
      domain: "mesh.example",
    }],
    ["localhost", 0, /-R NAME:22/, { domain: "mesh.example" }],
    ["*", 15008, /no name of its own/, { domain: "mesh.example" }],
  ];
  for (const [address, port, sentence, special] of refused) {
    const request = classifyForward(address, port, special ?? context);
    assert.equal(request.kind, "refused", `${address}:${port}`);
    assert(request.kind === "refused");
    assert.match(request.reason, sentence);
  }
});

Deno.test("under the domain localhost, nodes are below it and the domain is the gateway's", () => {
  const local: NamingContext = { domain: "localhost" };
  assert.deepEqual(classifyForward("web", 22, local), {
    kind: "node-port",
    name: "web.localhost",
    port: 22,
    publish: false,
    answerPort: 22,
  });
  assert.equal(classifyForward("web.localhost", 22, local).kind, "node-port");
});

Deno.test("direct-tcpip goes to a name or an address", () => {
  const port = 22;
  assert.deepEqual(classifyDirect("Web", port, context), {
    kind: "name",
    name: "web.mesh.example",
    host: "web",
    port,
  });
  assert.deepEqual(classifyDirect("db.internal.", port, context), {
    kind: "name",
    name: "db.internal",
    host: "db.internal",
    port,
  });
  for (
    const [host, address] of [
      ["10.0.0.1", "10.0.0.1"],
      ["[fd00::1]", "fd00::1"],
      ["::ffff:127.0.0.1", "127.0.0.1"],
      ["localhost", "127.0.0.1"],
      ["Localhost.", "127.0.0.1"],
    ]
  ) {
    assert.deepEqual(classifyDirect(host, port, context), { kind: "address", address, port });
  }
  for (
    const [host, port] of [["web", 0], ["web", 70000], ["2130706433", 22], ["0x7f.1", 22], ["", 22], [
      "a b",
      22,
    ], ["fe80::1%eth0", 22]] as const
  ) {
    assert.equal(classifyDirect(host, port, context).kind, "refused", `${host}:${port}`);
  }
});
