/** The web server with Node's client. */
import assert from "node:assert/strict";
import { sniff, SNIFF_LENGTH } from "../../src/edge/sniff.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { peek } from "../../src/streams/peek.ts";
import { httpsFetch, textUntilClose, tlsConnect } from "../support/https_client.ts";
import { HOUR, testAuthority } from "../support/authority.ts";
import { webScene } from "./web_scene.ts";

const hello = () => new Response("hello\n");

Deno.test("a client without a certificate is served", async () => {
  await using scene = await webScene(({ request, clientCertificates, remote }) => {
    assert.equal(clientCertificates, undefined);
    assert.equal(remote.hostname, "127.0.0.1");
    return new Response(`${request.method} ${request.url}`);
  });
  const response = await httpsFetch(`${scene.origin}/a?b=c`, { ca: scene.authority.certificate });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), `GET ${scene.origin}/a?b=c`);
  assert.deepEqual(scene.failures, []);
});

Deno.test("the handler gets the client certificate that verified", async () => {
  await using scene = await webScene(({ clientCertificates }) => new Response(clientCertificates![0]));
  const client = await scene.authority.issue({});
  const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate, ...client });
  const der = Uint8Array.fromBase64(client.certificate.replaceAll(/-.*-|\s/g, ""));
  assert.deepEqual(await response.bytes(), der);
});

Deno.test("a client certificate that does not verify gets a sentence and never reaches the handler", async (t) => {
  let asked = 0;
  await using scene = await webScene(() => (asked++, hello()));
  const stranger = await testAuthority();
  const cases = [
    ["of another authority", await stranger.issue({}), /no root that is trusted here has signed it/],
    ["expired", await scene.authority.issue({ now: Date.now() - 2 * HOUR }), /it has expired/],
    ["not valid yet", await scene.authority.issue({ now: Date.now() + 2 * HOUR }), /it is not valid yet/],
  ] as const;
  for (const [name, client, reason] of cases) {
    await t.step(name, async () => {
      scene.failures.length = 0;
      const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate, ...client });
      assert.equal(response.status, 400);
      assert.equal(response.headers.get("connection"), "close");
      assert.match(await response.text(), reason);
      assert.deepEqual(scene.failures.map(({ stage }) => stage), ["client-certificate"]);
      assert.equal(asked, 0);
    });
  }
});

Deno.test("clients are not asked for a certificate where there are no roots for it", async () => {
  await using scene = await webScene(({ clientCertificates }) => new Response(`${clientCertificates}`), {
    web: { clientRoots: () => [] },
  });
  const client = await (await testAuthority()).issue({});
  const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate, ...client });
  assert.equal(await response.text(), "undefined");
});

Deno.test("certificate and roots are asked for with each connection", async () => {
  const [first, second] = [await testAuthority(), await testAuthority()];
  const names = { names: ["localhost"], gateway: true };
  const certificates = [await first.issue(names), await second.issue(names)];
  let current = 0;
  await using scene = await webScene(
    ({ clientCertificates }) => new Response(`${clientCertificates?.length}`),
    {
      web: { tls: () => certificates[current], clientRoots: () => [[first, second][current].certificate] },
    },
  );
  const client = await second.issue({});
  const [{ certificate: oldRoot }, { certificate: newRoot }] = [first, second];
  assert.equal((await httpsFetch(scene.origin, { ca: oldRoot, ...client })).status, 400);
  current = 1;
  await assert.rejects(httpsFetch(scene.origin, { ca: oldRoot }));
  assert.equal((await httpsFetch(scene.origin, { ca: newRoot, ...client })).status, 200);
});

Deno.test("a body arrives whole, up to its bound", async (t) => {
  await using scene = await webScene(async ({ request }) => new Response(await request.bytes()), {
    bounds: { bodySize: 1000 },
  });
  const ca = scene.authority.certificate;
  await t.step("at the bound", async () => {
    const body = crypto.getRandomValues(new Uint8Array(1000));
    const response = await httpsFetch(scene.origin, { ca, body });
    assert.deepEqual(await response.bytes(), body);
  });
  await t.step("announced beyond it", async () => {
    assert.equal((await httpsFetch(scene.origin, { ca, body: new Uint8Array(1001) })).status, 413);
  });
  await t.step("beyond it in chunks without a length", async () => {
    const socket = await tlsConnect(scene.port, { ca });
    const text = textUntilClose(socket);
    socket.write("POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let i = 0; i < 3; i++) socket.write(`190\r\n${"x".repeat(400)}\r\n`);
    assert.match(await text, /^HTTP\/1\.1 413 /);
  });
});

Deno.test("a connection serves several requests", async () => {
  await using scene = await webScene(({ request }) => new Response(new URL(request.url).pathname));
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const text = textUntilClose(socket);
  socket.write("GET /one HTTP/1.1\r\nhost: localhost\r\n\r\nGET /two HTTP/1.1\r\nhost: localhost\r\n\r\n");
  socket.write("GET /three HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  assert.match(await text, /\/one[^]*\/two[^]*\/three/);
});

Deno.test("each request comes with what was said of its connection", async () => {
  await using scene = await webScene((_exchange, context) => new Response(`[${context}]`));
  const sockets = [];
  // The second has its handshake behind it before the first one asks.
  for (let i = 0; i < 2; i++) sockets.push(await tlsConnect(scene.port, { ca: scene.authority.certificate }));
  const texts = sockets.map(textUntilClose);
  for (const ending of ["", "connection: close\r\n"]) {
    for (const socket of sockets) socket.write(`GET / HTTP/1.1\r\nhost: localhost\r\n${ending}\r\n`);
  }
  const told = (await Promise.all(texts)).map((text) => text.match(/\[\d\]/g));
  assert.deepEqual(told, [["[0]", "[0]"], ["[1]", "[1]"]]);
});

Deno.test("HEAD has the headers and no body", async () => {
  await using scene = await webScene(() =>
    new Response("hello", { headers: { "content-length": "5", x: "y" } })
  );
  const socket = await tlsConnect(scene.port, { ca: scene.authority.certificate });
  const text = textUntilClose(socket);
  socket.write("HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  const answer = await text;
  assert.match(answer, /\r\ncontent-length: 5\r\n/i);
  assert.match(answer, /\r\nx: y\r\n/i);
  assert.match(answer, /\r\n\r\n$/);
});

Deno.test("every cookie is a header of its own", async () => {
  await using scene = await webScene(() => {
    const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
    return new Response(null, { status: 204, headers });
  });
  const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate });
  assert.equal(response.status, 204);
  assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
});

Deno.test("an error of the handler is 500 without detail, and goes to the log", async () => {
  await using scene = await webScene(() => {
    throw new Error("the database says \u001b[31msecret");
  });
  const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate });
  assert.equal(response.status, 500);
  assert.equal(await response.text(), "the answer could not be made\n");
  const [{ stage, error }] = scene.failures;
  assert.equal(stage, "handler");
  assert.match(error.message, /^the database says /);
  assert.ok(!error.message.includes("\u001b"));
});

Deno.test("a body that fails midway ends the connection", async () => {
  await using scene = await webScene(() => {
    let pulls = 0;
    return new Response(
      new ReadableStream({
        pull: (controller) =>
          pulls++ === 0 ? controller.enqueue(new Uint8Array(10)) : controller.error(new Error("no more")),
      }),
    );
  });
  await assert.rejects(httpsFetch(scene.origin, { ca: scene.authority.certificate }));
  assert.deepEqual(scene.failures.map(({ stage }) => stage), ["request"]);
});

Deno.test("a request for somebody else is 421", async (t) => {
  await using scene = await webScene(hello);
  const ca = scene.authority.certificate;
  const ask = async (head: string, servername = "localhost") => {
    const socket = await tlsConnect(scene.port, { ca, servername });
    const text = textUntilClose(socket);
    socket.write(`${head}\r\nconnection: close\r\n\r\n`);
    return Number(/^HTTP\/1\.1 (\d+)/.exec(await text)?.[1]);
  };
  const cases: readonly [string, number][] = [
    ["GET / HTTP/1.1\r\nhost: localhost", 200],
    ["GET / HTTP/1.1\r\nhost: LOCALHOST.:15022", 200],
    ["GET https://localhost/x HTTP/1.1\r\nhost: localhost", 200],
    ["GET https://elsewhere/x HTTP/1.1\r\nhost: localhost", 421],
    ["GET http://localhost/x HTTP/1.1\r\nhost: localhost", 421],
    // The certificate covers it; SNI said localhost.
    ["GET / HTTP/1.1\r\nhost: gw.mesh.example", 421],
    ["GET / HTTP/1.1\r\nhost: elsewhere.example", 421],
    ["GET / HTTP/1.1\r\nhost: ann@localhost", 421],
    ["GET / HTTP/1.1\r\nhost: localhost:99999", 421],
    ["GET / HTTP/1.1\r\nhost: localhost/x", 421],
    ["GET / HTTP/1.1\r\nhost: ", 421],
    ["GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost", 400],
    ["GET / HTTP/1.1\r\nx: y", 400],
    ["CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22", 405],
    ["TRACE / HTTP/1.1\r\nhost: localhost", 405],
    ["OPTIONS * HTTP/1.1\r\nhost: localhost", 421],
  ];
  for (const [head, status] of cases) {
    await t.step(head.replaceAll("\r\n", " | "), async () => assert.equal(await ask(head), status));
  }
  await t.step("SNI for another of the server's names", async () => {
    assert.equal(await ask("GET / HTTP/1.1\r\nhost: gw.mesh.example", "gw.mesh.example"), 200);
  });
});

Deno.test("closing lets requests that have begun finish", async () => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  await using scene = await webScene(async () => {
    begun.resolve();
    await finish.promise;
    return hello();
  });
  const ca = scene.authority.certificate;
  const idle = await tlsConnect(scene.port, { ca });
  const idleEnded = textUntilClose(idle);
  const answer = httpsFetch(scene.origin, { ca });
  await begun.promise;
  const closed = scene.close(10_000);
  assert.equal(await idleEnded, "");
  finish.resolve();
  assert.equal((await answer).status, 200);
  await closed;
  await assert.rejects(httpsFetch(scene.origin, { ca }));
});

Deno.test("closing waits no longer than its grace", async () => {
  const begun = Promise.withResolvers<void>();
  await using scene = await webScene(({ request }) => {
    begun.resolve();
    return new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(hello())));
  });
  const answer = httpsFetch(scene.origin, { ca: scene.authority.certificate });
  const refused = assert.rejects(answer);
  await begun.promise;
  await scene.close(50);
  await refused;
});

Deno.test("a connection whose first bytes were looked at is served", async () => {
  const sniffed: string[] = [];
  await using scene = await webScene(hello, {
    async through(accepted) {
      const enough = (seen: Uint8Array) => sniff(seen) !== "more";
      const bounds = { limit: SNIFF_LENGTH, timeout: 10_000, clock: systemClock };
      const { connection, seen } = await peek(accepted, { enough, ...bounds });
      sniffed.push(sniff(seen));
      return connection;
    },
  });
  const client = await scene.authority.issue({});
  const response = await httpsFetch(scene.origin, { ca: scene.authority.certificate, ...client });
  assert.equal(await response.text(), "hello\n");
  assert.deepEqual(sniffed, ["tls"]);
});
