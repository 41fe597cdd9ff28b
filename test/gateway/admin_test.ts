/** The pages for whoever watches the gateway, and whoever else finds them. */
import assert from "node:assert/strict";
import { serveHttp } from "../../src/deno/admin_http.ts";
import { adminHandler, isLocalHost } from "../../src/gateway/admin.ts";
import { NetError } from "../../src/platform/net.ts";
import { noMetrics } from "../../src/telemetry/metrics.ts";

const anyPort = { transport: "tcp", hostname: "127.0.0.1", port: 0 } as const;

function pages(loopback = true) {
  return adminHandler({ ready: true, metrics: noMetrics, loopback });
}

async function status(url: string, method = "GET", loopback = true): Promise<number> {
  return (await pages(loopback)(new Request(url, { method }))).status;
}

Deno.test("on loopback only this machine's names are answered: no web page gets here by its own", async () => {
  const own = ["127.0.0.1:15020", "127.9.9.9", "localhost", "LocalHost:15020", "gw.localhost", "[::1]:15020"];
  for (const host of own) assert.equal(await status(`http://${host}/metrics`), 200, host);
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"]) {
    assert.equal(await status(`http://${host}/metrics`), 421, host);
    assert.equal(await status(`http://${host}/metrics`, "GET", false), 200, host);
  }
});

Deno.test("hosts that can be nothing but this machine are known", () => {
  for (const host of ["127.0.0.1", "::1", "localhost"]) assert.equal(isLocalHost(host), true);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "gw.example"]) assert.equal(isLocalHost(host), false);
});

Deno.test("pages are read and never written", async () => {
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    assert.equal(await status("http://localhost/metrics", method), 405);
  }
  assert.equal(await status("http://localhost//metrics"), 404);
  assert.equal(await status("http://localhost/../metrics/x"), 404);
});

/** Sends `text` and resolves to the first line that comes back, or undefined where none does. */
async function raw(port: number, text: string): Promise<string | undefined> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text)).catch(() => {});
  const buffer = new Uint8Array(1024);
  const count = await connection.read(buffer).catch(() => null) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, count)).split("\r\n")[0] || undefined;
}

Deno.test("odd requests get an answer, or none, and never more", async () => {
  const server = await serveHttp(anyPort, pages());
  const { port } = server.address;
  try {
    const host = "Host: localhost\r\n";
    assert.match((await raw(port, `GET /healthz HTTP/1.1\r\n${host}\r\n`))!, / 200 /);
    assert.match((await raw(port, `HEAD /healthz HTTP/1.1\r\n${host}\r\n`))!, / 200 /);
    assert.match((await raw(port, `GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n`))!, / 421 /);
    assert.match((await raw(port, "GET /healthz HTTP/1.1\r\nHost: [\r\n\r\n"))!, / 400 /);
    const big = `GET / HTTP/1.1\r\n${host}X: ${"a".repeat(100_000)}\r\n\r\n`;
    assert.match(await raw(port, big) ?? "HTTP/1.1 431 ", / 4\d\d /);
    assert.match(await raw(port, "\x16\x03\x01\x02\x00\x01\r\n\r\n") ?? "HTTP/1.1 400 ", / 400 /);
  } finally {
    await server.close();
  }
});

Deno.test("many who connect and say nothing are few, and hold up neither others nor the end", async () => {
  const server = await serveHttp(anyPort, pages());
  const { port } = server.address;
  const silent: Deno.Conn[] = [];
  for (let i = 0; i < 100; i++) silent.push(await Deno.connect({ hostname: "127.0.0.1", port }));
  try {
    // Those beyond the bound are let go at once, without having said a word.
    const gone = silent.map(async (connection) => {
      return await connection.read(new Uint8Array(1)).catch(() => null) === null;
    });
    let count = 0;
    const began = performance.now();
    await new Promise<void>((resolve) => {
      for (const one of gone) one.then(() => ++count === 60 && resolve());
    });
    assert.ok(performance.now() - began < 3000, "before their time to say something was over");
  } finally {
    await server.close();
    for (const connection of silent) connection.close();
  }
});

Deno.test("a request that does not get on is cut off", async () => {
  const server = await serveHttp(anyPort, pages());
  try {
    assert.match(
      await raw(server.address.port, "GET /healthz HTTP/1.1\r\n") ?? "HTTP/1.1 408 ",
      / 40[08] /,
    );
  } finally {
    await server.close();
  }
});

Deno.test("an address that is taken is said so", async () => {
  const server = await serveHttp(anyPort, pages());
  await assert.rejects(
    serveHttp(server.address, pages()),
    (error) => error instanceof NetError && error.code === "in-use",
  );
  await server.close();
});
