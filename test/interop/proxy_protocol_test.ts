/** The gateway behind a balancer: whose a connection is comes from its PROXY header, where that may be believed. */
import assert from "node:assert/strict";
import { decodeHex } from "../../src/bytes/encoding.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { close, tcpServer, type TestServer } from "../support/tcp.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";

/** Headers of the client 192.0.2.7:12345, as balancers send them. */
const HEADERS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "version 1": encodeText("PROXY TCP4 192.0.2.7 127.0.0.1 12345 22\r\n"),
  "version 2": decodeHex(`${SIGNATURE}2111000cc00002077f00000130390016`),
  "version 2 with extras": decodeHex(`${SIGNATURE}21110014c00002077f000001303900160300040102030404`),
};

/** Passes on to `port`, with `header` in front; its octets one by one where `slowly`. */
function balancer(port: number, header: Uint8Array<ArrayBuffer>, slowly = false): TestServer {
  return tcpServer(async (client) => {
    const upstream = await Deno.connect({ hostname: "127.0.0.1", port });
    upstream.setNoDelay(true);
    for (let at = 0; at < header.length; at += slowly ? 1 : header.length) {
      await upstream.write(slowly ? header.subarray(at, at + 1) : header);
      if (slowly) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await Promise.allSettled([
      client.readable.pipeTo(upstream.writable),
      upstream.readable.pipeTo(client.writable),
    ]);
    close(upstream);
  });
}

peerTest("a client's address comes from the header of who is listed, and from nobody else's", [
  openssh,
], async (t) => {
  using site = await makeSite();
  // A line that lets its key in from behind the balancer alone: what the header says is what counts.
  const owners = [`from="192.0.2.0/24,127.0.0.1" ${site.key.line}`];
  await using trusting = await startGateway(site.folder, { owners, args: ["--proxy-from", "127.0.0.0/8"] });
  await using strict = await startGateway(site.folder, {
    name: "strict",
    owners,
    args: ["--proxy-from", "198.51.100.0/24"],
  });
  const whoami = async (port: number, hostKey: typeof trusting.hostKey) => {
    site.expect(port, hostKey);
    const client = { port, identity: site.key.path, knownHosts: site.knownHosts };
    return await run(sshLine(openssh, client, [], "whoami --json"));
  };
  for (const [name, header] of Object.entries(HEADERS)) {
    for (const slowly of [false, true]) {
      await t.step(`${name}${slowly ? ", octet by octet" : ""}`, async () => {
        await using front = balancer(trusting.port, header, slowly);
        const { text, stderr } = await whoami(front.port, trusting.hostKey);
        assert.equal(JSON.parse(text || `"${stderr}"`).from, "192.0.2.7:12345");
      });
    }
  }
  await t.step("without a header, from the same address", async () => {
    const { text } = await whoami(trusting.port, trusting.hostKey);
    assert.match(JSON.parse(text).from, /^127\.0\.0\.1:/);
  });
  await t.step("a health check of the balancer's own", async () => {
    await using front = balancer(trusting.port, decodeHex(`${SIGNATURE}20000000`));
    assert.match(JSON.parse((await whoami(front.port, trusting.hostKey)).text).from, /^127\.0\.0\.1:/);
  });
  await t.step("an address that the key may not come from", async () => {
    await using front = balancer(trusting.port, encodeText("PROXY TCP4 203.0.113.9 127.0.0.1 1 22\r\n"));
    const { code, stderr } = await whoami(front.port, trusting.hostKey);
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied/);
  });
  await t.step("a header that is none", async () => {
    await using front = balancer(trusting.port, encodeText("PROXY TCP4 nonsense\r\n"));
    assert.equal((await whoami(front.port, trusting.hostKey)).code, 255);
    await trusting.process.stderr.match(/the PROXY header from .* counts for nothing: its line is not/);
  });
  await t.step("a header from elsewhere breaks the protocol", async () => {
    for (const header of Object.values(HEADERS)) {
      await using front = balancer(strict.port, header);
      const { code, stderr } = await whoami(front.port, strict.hostKey);
      assert.equal(code, 255, stderr);
    }
  });
});
