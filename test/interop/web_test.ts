/** The web server with the HTTPS and TLS clients that people have. */
import assert from "node:assert/strict";
import { webScene } from "../deno/web_scene.ts";
import { HOUR, testAuthority, workload } from "../support/authority.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { curl, openssl, peerTest } from "../support/peers.ts";
import { type Finished, run, succeed } from "../support/process.ts";

async function scene() {
  const web = await webScene(async ({ request, clientCertificates }) => {
    const { pathname } = new URL(request.url);
    return Response.json({
      method: request.method,
      pathname,
      body: await request.text(),
      certificates: clientCertificates?.length ?? 0,
    });
  });
  const folder = temporaryFolder();
  folder.write("root.pem", web.authority.certificate);
  const client = await web.authority.issue({ identity: workload("web", "shop", "mesh.example") });
  const expired = await web.authority.issue({ now: Date.now() - 2 * HOUR });
  const stranger = await (await testAuthority()).issue({});
  for (const [name, files] of Object.entries({ client, expired, stranger })) {
    folder.write(`${name}.pem`, files.certificate);
    folder.write(`${name}.key`, files.privateKey);
  }
  return {
    web,
    folder,
    async [Symbol.asyncDispose]() {
      await web[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

function curlLine(folder: Folder, ...args: string[]): string[] {
  return curl.line("curl", "-sS", "--noproxy", "*", "--cacert", folder.at("root.pem"), ...args);
}

function withCertificate(folder: Folder, name: string): string[] {
  return ["--cert", folder.at(`${name}.pem`), "--key", folder.at(`${name}.key`)];
}

peerTest("curl with a client certificate is served", [curl], async () => {
  await using test = await scene();
  const { web, folder } = test;
  const { text } = await succeed(curlLine(folder, ...withCertificate(folder, "client"), `${web.origin}/a/b`));
  const answer = JSON.parse(text);
  assert.equal(answer.pathname, "/a/b");
  assert.ok(answer.certificates >= 1);
});

peerTest("curl without a certificate is served", [curl], async () => {
  await using test = await scene();
  const { web, folder } = test;
  const { text } = await succeed(curlLine(folder, `${web.origin}/`));
  assert.equal(JSON.parse(text).certificates, 0);
});

peerTest("curl with a certificate that does not verify is told why", [curl], async (t) => {
  await using test = await scene();
  const { web, folder } = test;
  for (
    const [name, reason] of [["expired", /it has expired/], ["stranger", /no root that is trusted/]] as const
  ) {
    await t.step(name, async () => {
      const line = curlLine(folder, ...withCertificate(folder, name), "-w", "%{http_code}", `${web.origin}/`);
      const { text } = await succeed(line);
      assert.match(text, reason);
      assert.match(text, /400$/);
    });
  }
});

peerTest("curl posts, reads heads and keeps its connection", [curl], async (t) => {
  await using test = await scene();
  const { web, folder } = test;
  await t.step("a body with Expect: 100-continue", async () => {
    const args = ["-H", "Expect: 100-continue", "-d", "x".repeat(5000), web.origin];
    const { text } = await succeed(curlLine(folder, ...args));
    assert.deepEqual([JSON.parse(text).method, JSON.parse(text).body.length], ["POST", 5000]);
  });
  await t.step("a body that is too large", async () => {
    const large = folder.write("large", "x".repeat(100_000));
    const { text } = await run(
      curlLine(folder, "-w", "%{http_code}", "--data-binary", `@${large}`, web.origin),
    );
    assert.match(text, /413$/);
  });
  await t.step("HEAD", async () => {
    const { text } = await succeed(curlLine(folder, "-I", web.origin));
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]*content-type: application\/json/i);
  });
  await t.step("two requests on one connection", async () => {
    const args = ["-w", "%{num_connects}\n", `${web.origin}/1`, `${web.origin}/2`];
    const { text } = await succeed(curlLine(folder, ...args));
    assert.deepEqual(text.match(/}(\d)\n/g), ["}1\n", "}0\n"]);
  });
});

peerTest("curl with another Host gets 421", [curl], async () => {
  await using test = await scene();
  const { web, folder } = test;
  const { text } = await succeed(
    curlLine(folder, "-w", "%{http_code}", "-H", "Host: elsewhere.example", web.origin),
  );
  assert.match(text, /421$/);
});

/** One request by `openssl s_client`. */
async function byOpenssl(folder: Folder, port: number, ...args: string[]): Promise<Finished> {
  const line = [
    "-connect",
    `127.0.0.1:${port}`,
    "-servername",
    "localhost",
    "-CAfile",
    folder.at("root.pem"),
  ];
  return await run(openssl.line("openssl", "s_client", "-quiet", "-verify_return_error", ...line, ...args), {
    stdin: "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  });
}

peerTest("openssl s_client speaks TLS 1.2 and 1.3 and nothing older", [openssl], async (t) => {
  await using test = await scene();
  const { web, folder } = test;
  for (const version of ["-tls1_2", "-tls1_3"]) {
    await t.step(version, async () => {
      const certificate = ["-cert", folder.at("client.pem"), "-key", folder.at("client.key")];
      const { text } = await byOpenssl(folder, web.port, version, ...certificate);
      assert.match(text, /^HTTP\/1\.1 200 /);
    });
  }
  await t.step("-tls1_1", async () => {
    const { text, code } = await byOpenssl(folder, web.port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0");
    assert.notEqual(code, 0);
    assert.equal(text, "");
  });
});

peerTest("openssl s_client finds ALPN http/1.1 and the name in the certificate", [openssl], async () => {
  await using test = await scene();
  const { web, folder } = test;
  const line = [
    "-connect",
    `127.0.0.1:${web.port}`,
    "-servername",
    "localhost",
    "-verify_hostname",
    "localhost",
  ];
  const { text } = await succeed(
    openssl.line("openssl", "s_client", "-alpn", "h2,http/1.1", "-CAfile", folder.at("root.pem"), ...line),
    { stdin: "" },
  );
  assert.match(text, /ALPN protocol: http\/1\.1/);
  assert.match(text, /Verify return code: 0 \(ok\)/);
});
