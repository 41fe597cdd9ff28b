/** The HTTPS client, with the web server. */
import assert from "node:assert/strict";
import { httpsClient } from "../../src/deno/https_client.ts";
import type { HttpsClientOptions } from "../../src/platform/https.ts";
import { NetError } from "../../src/platform/net.ts";
import type { TlsIdentity } from "../../src/platform/web.ts";
import { testAuthority } from "../support/authority.ts";
import { webScene } from "./web_scene.ts";

const GET = { method: "GET" } as const;

function client(options: Partial<HttpsClientOptions>) {
  const made = httpsClient({ roots: () => undefined, maxAnswer: 1024, ...options });
  return { ...made, [Symbol.dispose]: () => made.close() };
}

Deno.test("a request is sent as it is, and the answer comes whole", async () => {
  await using scene = await webScene(async ({ request }) => {
    const { method, url, headers } = request;
    const said = [method, url, headers.get("x-a"), headers.get("content-length"), await request.text()];
    return Response.json(said, { status: 201, headers: { etag: '"1"' } });
  });
  using sending = client({ roots: () => [scene.authority.certificate] });
  const response = await sending.fetch(`${scene.origin}/a?b`, {
    method: "POST",
    headers: { "x-a": "1" },
    body: "é",
  });
  assert.deepEqual([response.status, response.headers.get("etag")], [201, '"1"']);
  assert.deepEqual(await response.json(), ["POST", `${scene.origin}/a?b`, "1", "2", "é"]);
});

Deno.test("an answer without a body has none, and a redirect is an answer", async () => {
  let status = 304;
  await using scene = await webScene(() =>
    new Response(null, { status, headers: { location: "https://x.example" } })
  );
  using sending = client({ roots: () => [scene.authority.certificate] });
  for (status of [304, 204, 302]) assert.equal((await sending.fetch(scene.origin, GET)).status, status);
});

Deno.test("a server of another root, or of no root at all, gets no request", async () => {
  let asked = 0;
  await using scene = await webScene(() => new Response(`${++asked}`));
  const stranger = await testAuthority();
  for (const roots of [() => [stranger.certificate], () => [], () => undefined]) {
    using sending = client({ roots });
    await assert.rejects(sending.fetch(scene.origin, GET), NetError);
  }
  assert.equal(asked, 0);
  using unverified = client({ unverified: true });
  assert.equal((await unverified.fetch(scene.origin, GET)).status, 200);
});

Deno.test("a server with the right root and another name gets no request", async () => {
  let asked = 0;
  await using scene = await webScene(() => new Response(`${++asked}`));
  using sending = client({ roots: () => [scene.authority.certificate] });
  const other = new URL(scene.origin);
  other.hostname = "127.0.0.2";
  await assert.rejects(sending.fetch(other.href, GET), NetError);
  assert.equal(asked, 0);
});

Deno.test("what it proves itself with is asked for each time: a new certificate makes a new connection", async () => {
  const seen: (number | undefined)[] = [];
  await using scene = await webScene(({ clientCertificates, remote }) => {
    seen.push(clientCertificates?.[0].length && remote.port);
    return new Response("");
  });
  let identity: TlsIdentity | undefined;
  using sending = client({ roots: () => [scene.authority.certificate], identity: () => identity });
  const ask = async () => await (await sending.fetch(scene.origin, GET)).text();
  await ask();
  identity = await scene.authority.issue({});
  await ask();
  await ask();
  identity = await scene.authority.issue({});
  await ask();
  assert.equal(seen[0], undefined);
  // The second and third went over one connection.
  assert.equal(seen[1], seen[2]);
  assert.notEqual(seen[2], seen[3]);
});

Deno.test("an answer that is too large is an error, and so is one that never comes", async () => {
  let size = 1025;
  await using scene = await webScene(() =>
    size > 0 ? new Response("x".repeat(size)) : new Promise<Response>(() => {})
  );
  using sending = client({ roots: () => [scene.authority.certificate] });
  await assert.rejects(sending.fetch(scene.origin, GET), /more than 1024 bytes/);
  size = 0;
  const giving = new AbortController();
  const asked = sending.fetch(scene.origin, { ...GET, signal: giving.signal });
  setTimeout(() => giving.abort(new Error("given up")), 50);
  await assert.rejects(asked, /given up/);
  await assert.rejects(sending.fetch(scene.origin, { ...GET, signal: giving.signal }), /given up/);
});

Deno.test("nobody listens: the sentence says where", async () => {
  using sending = client({});
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const asked = sending.fetch(`https://127.0.0.1:${port}/`, GET);
  await assert.rejects(asked, {
    name: "NetError",
    code: "refused",
    message: new RegExp(`^127\\.0\\.0\\.1:${port}: `),
  });
});
