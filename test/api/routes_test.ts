import assert from "node:assert/strict";
import { apiRoutes } from "../../src/api/handler.ts";
import { openApiDocument, problemAnswer, problemsOf } from "../../src/api/openapi.ts";
import { type ProblemKind, problemKinds } from "../../src/api/problem.ts";
import { CERTIFICATE_LINE, CSR, JOIN_TOKEN, scene, type SendOptions, USER_KEY } from "./scene.ts";

const revocation = { kind: "key-id", key_id: "ann" };

/** One request for each operation that answers as it should, with the status. */
const EXAMPLES: Readonly<Record<string, readonly [line: string, options: SendOptions, status: number]>> = {
  issueSshCertificate: ["POST /api/v1/certs/ssh", { as: "ann", body: { public_key: USER_KEY } }, 200],
  issueX509Certificate: ["POST /api/v1/certs/x509", { as: "ann", body: { csr: CSR, ttl: 60 } }, 200],
  getAuthorities: ["GET /api/v1/ca", {}, 200],
  getUserAuthorities: ["GET /api/v1/ca/user.pub", {}, 200],
  getHostAuthorities: ["GET /api/v1/ca/host.pub", {}, 200],
  getRoots: ["GET /api/v1/ca/x509.pem", {}, 200],
  getKnownHosts: ["GET /api/v1/ca/known_hosts", {}, 200],
  getKrl: ["GET /api/v1/krl", {}, 200],
  listRevocations: ["GET /api/v1/revocations", { as: "root" }, 200],
  revoke: ["POST /api/v1/revocations", { as: "root", body: { revocation, reason: "left" } }, 204],
  withdraw: [
    "POST /api/v1/withdrawals",
    { as: "root", body: { issuer: "enrolled", subject: "SHA256:web" } },
    204,
  ],
  rotate: ["POST /api/v1/ca/rotations", { as: "root", body: { kind: "user", overlap: "1h" } }, 204],
  listJoinTokens: ["GET /api/v1/join-tokens", { as: "root" }, 200],
  createJoinToken: ["POST /api/v1/join-tokens", { as: "root", body: { name: "gw2", ttl: "2h" } }, 201],
  removeJoinToken: ["DELETE /api/v1/join-tokens/1", { as: "root" }, 204],
  join: ["POST /api/v1/join", { as: JOIN_TOKEN, body: { csr: CSR } }, 200],
  whoami: ["GET /api/v1/whoami", { as: "ann" }, 200],
  getOpenApi: ["GET /api/v1/openapi.json", {}, 200],
};

Deno.test("every resource is in the OpenAPI document and answers as that says", async (test) => {
  const { options } = scene();
  const routes = apiRoutes(options);
  assert.deepEqual(routes.map(({ operation }) => operation).sort(), Object.keys(EXAMPLES).sort());
  for (const route of routes) {
    await test.step(route.operation, async () => {
      const { send, authority } = scene();
      // So that a list of revocations is not empty.
      await authority.revoke({ kind: "x509-serial", serial: "0a" }, { name: "ann", remote: "" });
      const [line, how, status] = EXAMPLES[route.operation];
      const response = await send(line, how);
      const text = await response.text();
      assert.equal(response.status, status, text);
      const answer = route.answers[status];
      assert.ok(answer, `${status} is not described`);
      const type = response.headers.get("content-type")?.split(";")[0];
      if (answer.schema) {
        assert.equal(type, "application/json");
        answer.schema.parse(JSON.parse(text));
      } else {
        assert.equal(type, answer.mediaType);
      }
    });
  }
});

Deno.test("the document is OpenAPI 3.1 with every operation, its body, its answers and its problems", async () => {
  const { options, send } = scene();
  const document = await (await send("GET /api/v1/openapi.json")).json();
  assert.equal(document.openapi, "3.1.0");
  const routes = apiRoutes(options);
  assert.deepEqual(document, JSON.parse(JSON.stringify(openApiDocument(routes, "1"))));
  for (const { path, method, operation, answers } of routes) {
    const described = document.paths[path][method.toLowerCase()];
    assert.equal(described.operationId, operation);
    for (const status of Object.keys(answers)) {
      assert.ok(described.responses[status], `${operation} ${status}`);
    }
  }
  const ssh = document.paths["/api/v1/certs/ssh"].post;
  const { properties, required } = ssh.requestBody.content["application/json"].schema;
  assert.deepEqual(required, ["public_key"]);
  assert.deepEqual(Object.keys(properties).sort(), [
    "gateway",
    "names",
    "on_behalf_of",
    "public_key",
    "ttl",
    "type",
  ]);
  assert.deepEqual(ssh.security, [{ bearer: [] }, { certificate: [] }]);
  assert.deepEqual(document.paths["/api/v1/join-tokens/{id}"].delete.parameters[0].name, "id");
});

Deno.test("a server without join tokens has no such resources", async () => {
  const { send, options } = scene({ joinTokens: undefined, joining: undefined });
  assert.equal((await send("GET /api/v1/join-tokens", { as: "root" })).status, 404);
  assert.ok(apiRoutes(options).every(({ path }) => !path.includes("join")));
  assert.equal((await send("GET /api/v1/whoami", { as: JOIN_TOKEN })).status, 401);
});

const body = { public_key: USER_KEY };

/** What is wrong, and the problem that tells of it. */
const PROBLEMS: readonly (readonly [string, string, SendOptions, ProblemKind, RegExp])[] = [
  ["an unknown resource", "GET /api/v1/nothing", {}, "not-found", /openapi/],
  ["what is above the API", "GET /", {}, "not-found", /openapi/],
  ["another method", "PUT /api/v1/ca", {}, "method-not-allowed", /GET, HEAD/],
  ["OPTIONS of a page elsewhere", "OPTIONS /api/v1/certs/ssh", {}, "method-not-allowed", /POST/],
  ["another host", "GET /api/v1/ca", { url: "https://evil.example" }, "misdirected", /host/],
  ["an address for a host", "GET /api/v1/ca", { url: "https://127.0.0.1:15443" }, "misdirected", /host/],
  ["no credential", "POST /api/v1/certs/ssh", { body }, "unauthenticated", /token/],
  ["a wrong token", "GET /api/v1/whoami", { as: "wrong" }, "unauthenticated", /not accepted/],
  ["an expired token", "GET /api/v1/whoami", { as: "old" }, "unauthenticated", /expired/],
  [
    "a token of another scheme",
    "GET /api/v1/whoami",
    { headers: { authorization: "Basic YTpi" } },
    "unauthenticated",
    /Bearer/,
  ],
  ["a join token elsewhere", "GET /api/v1/whoami", { as: JOIN_TOKEN }, "unauthenticated", /joining/],
  [
    "a wrong join token",
    "POST /api/v1/join",
    { as: "sshm1.bad", body: { csr: CSR } },
    "unauthenticated",
    /join token/,
  ],
  [
    "a token that joins nobody",
    "POST /api/v1/join",
    { as: "ann", body: { csr: CSR } },
    "unauthenticated",
    /join token/,
  ],
  [
    "a wrong token beside a certificate",
    "GET /api/v1/whoami",
    { as: "wrong", certificate: true },
    "unauthenticated",
    /not accepted/,
  ],
  [
    "a denied identity",
    "POST /api/v1/certs/ssh",
    { as: "mallory", body },
    "not-permitted",
    /not permitted to 'cert'/,
  ],
  [
    "no right to revoke",
    "POST /api/v1/revocations",
    { as: "ann", body: { revocation } },
    "not-permitted",
    /'admin'/,
  ],
  ["no right to read revocations", "GET /api/v1/revocations", { as: "ann" }, "not-permitted", /'admin'/],
  [
    "no right to make tokens",
    "POST /api/v1/join-tokens",
    { as: "ann", body: { name: "x" } },
    "not-permitted",
    /'admin'/,
  ],
  [
    "a name that is taken",
    "POST /api/v1/join-tokens",
    { as: "root", body: { name: "taken" } },
    "conflict",
    /taken/,
  ],
  ["an unknown join token", "DELETE /api/v1/join-tokens/9", { as: "root" }, "not-found", /no join token/],
  [
    "no media type",
    "POST /api/v1/certs/ssh",
    { as: "ann", body, headers: { "content-type": "" } },
    "unsupported-media-type",
    /json/,
  ],
  [
    "a form",
    "POST /api/v1/certs/ssh",
    { as: "ann", body, headers: { "content-type": "text/plain" } },
    "unsupported-media-type",
    /json/,
  ],
  ["a large body", "POST /api/v1/certs/ssh", { as: "ann", body: " ".repeat(65537) }, "too-large", /65536/],
  ["no JSON", "POST /api/v1/certs/ssh", { as: "ann", body: "{" }, "malformed-request", /JSON/],
  ["no object", "POST /api/v1/certs/ssh", { as: "ann", body: [] }, "malformed-request", /the body: /],
  [
    "an unknown key",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, tll: "1h" } },
    "malformed-request",
    /tll: there is no such key/,
  ],
  ["a missing key", "POST /api/v1/certs/ssh", { as: "ann", body: {} }, "malformed-request", /public_key: /],
  [
    "a wrong lifetime",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, ttl: "soon" } },
    "malformed-request",
    /ttl: .*duration/,
  ],
  [
    "no lifetime",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, ttl: "0s" } },
    "malformed-request",
    /ttl: .*duration/,
  ],
  [
    "a wrong key",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { public_key: "ssh-rsa AAAA" } },
    "malformed-request",
    /public_key: /,
  ],
  [
    "a certificate for a key",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { public_key: "ssh-ed25519-cert-v01@openssh.com AAAA" } },
    "malformed-request",
    /public_key: /,
  ],
  [
    "names of a user",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, names: ["web.mesh.example"] } },
    "malformed-request",
    /names: /,
  ],
  [
    "a name that is none",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, type: "host", names: ["127.1"] } },
    "malformed-request",
    /names: /,
  ],
  [
    "a request that is none",
    "POST /api/v1/certs/x509",
    { as: "ann", body: { csr: "(" } },
    "malformed-request",
    /csr: /,
  ],
  [
    "a nested mistake",
    "POST /api/v1/revocations",
    { as: "root", body: { revocation: { kind: "serial", serial: "x" } } },
    "malformed-request",
    /revocation\.serial: /,
  ],
  [
    "another's name",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, type: "host", names: ["x.mesh.example"] } },
    "not-permitted",
    /no registration of x\.mesh/,
  ],
  [
    "a held name without the right",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, type: "host", names: ["db.mesh.example"] } },
    "not-permitted",
    /'cert-host' db\.mesh/,
  ],
  [
    "to be a gateway",
    "POST /api/v1/certs/ssh",
    { as: "ann", body: { ...body, type: "host", gateway: true } },
    "malformed-request",
    /gateway: /,
  ],
];

Deno.test("what is wrong is told as a problem of RFC 9457 that the document knows", async (test) => {
  const routes = apiRoutes(scene().options);
  for (const [what, line, how, kind, detail] of PROBLEMS) {
    await test.step(what, async () => {
      const { send, authority, failures } = scene();
      const response = await send(line, how);
      const text = await response.text();
      const { status, title } = problemKinds[kind];
      assert.equal(response.status, status, text);
      assert.equal(response.headers.get("content-type"), "application/problem+json");
      const problem = problemAnswer.parse(JSON.parse(text));
      assert.deepEqual([problem.type, problem.title, problem.status], [
        `urn:ssh-mesh:problem:${kind}`,
        title,
        status,
      ]);
      assert.match(problem.detail, detail);
      assert.equal(response.headers.get("cache-control"), "no-store");
      if (status === 401) assert.match(response.headers.get("www-authenticate")!, /^Bearer/);
      if (status === 405) assert.equal(problem.detail, `only ${response.headers.get("allow")} here`);
      assert.deepEqual([authority.users, authority.hosts, authority.x509, authority.records, failures], [
        [],
        [],
        [],
        [],
        [],
      ]);
      const [method, path] = line.split(" ");
      const route = routes.find((route) => {
        const pattern = new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`);
        return route.method === method && pattern.test(path);
      });
      if (route) assert.ok(problemsOf(route).includes(kind), `${route.operation} does not tell of ${kind}`);
    });
  }
});

Deno.test("HEAD answers as GET does, without the body", async () => {
  const { send } = scene();
  const response = await send("HEAD /api/v1/krl");
  assert.deepEqual([response.status, await response.text()], [200, ""]);
  assert.ok(response.headers.get("etag"));
});

Deno.test("certificates are kept by no cache, and no answer is taken for another type than it is", async () => {
  const { send } = scene();
  const response = await send("POST /api/v1/certs/ssh", { as: "ann", body });
  assert.deepEqual(await response.json(), { certificate: CERTIFICATE_LINE });
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.match(response.headers.get("content-security-policy")!, /default-src 'none'/);
});

Deno.test("a host's name is taken in any case, with a trailing dot and with any port", async () => {
  const { send } = scene();
  for (const url of ["https://CA.Mesh.Example", "https://ca.mesh.example.:1", "https://ca.mesh.example"]) {
    assert.equal((await send("GET /api/v1/ca", { url })).status, 200, url);
  }
});
