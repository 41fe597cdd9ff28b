/** What slow peers and many peers can do to the gateway's command: nothing to others. */
import assert from "node:assert/strict";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { readSigner } from "../support/library_server.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { DrippingDuplex, dripUntilCut } from "../support/slow_client.ts";
import { sshLine } from "../support/stock_client.ts";
import { deadline, PATIENCE, waitUntil } from "../support/wait.ts";
import { dial, greeting, makeScene } from "./hardening_scene.ts";

/** Loaded once and for good, outside any test: a library that stays is a leak to the one that loads it. */
const systemCrypto = (await chooseCrypto()).provider;

peerTest(
  "a peer of one byte a second is cut when the login grace is over, at any stage",
  [openssh],
  async () => {
    const grace = 2_000;
    const patience = { within: PATIENCE };
    await using scene = await makeScene(["--login-grace", `${grace / 1000}s`]);
    const { gateway, site } = scene;
    const signer = await readSigner(site.key);
    /** Slow from its first message on, or from the moment when keys are agreed on. */
    const login = async (slowFrom: "key exchange" | "authentication") => {
      const began = performance.now();
      const tcp = await denoNet.dial({ transport: "tcp", hostname: "127.0.0.1", port: gateway.port });
      const duplex = new DrippingDuplex(tcp);
      const connecting = connectSsh(duplex, {
        crypto: systemCrypto,
        verifyHostKey: () => {
          duplex.pause = 1000;
          return true;
        },
        auth: { user: "slow", credentials: [{ method: "publickey", signers: [signer] }] },
      });
      if (slowFrom === "key exchange") duplex.pause = 1000;
      await assert.rejects(deadline(connecting, slowFrom, patience.within));
      duplex.close();
      return performance.now() - began;
    };
    const banner = new TextEncoder().encode("SSH-2.0-slow and slower and slowest of all\r\n");
    const cut = await Promise.all([
      dripUntilCut(gateway.port, banner, patience),
      login("key exchange"),
      login("authentication"),
    ]);
    for (const after of cut) assert.ok(after > grace * 0.9 && after < PATIENCE, `${cut}`);
    // Nobody else was kept waiting for them.
    await succeed(sshLine(openssh, scene.owner, [], "whoami"));
  },
);

peerTest("connections that do not log in are few, per address", [openssh], async () => {
  await using scene = await makeScene(["--max-startups-per-source", "3"]);
  const { gateway, owner } = scene;
  const idle = await Promise.all([1, 2, 3].map(() => dial(gateway.port)));
  for (const connection of idle) assert.match(await greeting(connection), /^SSH-2\.0-/);
  using fourth = await dial(gateway.port);
  assert.match(await greeting(fourth), /^Not allowed at this time/);
  // Another address has places of its own.
  await succeed(sshLine(openssh, owner, ["-b", "127.0.0.2"], "whoami"));
  for (const connection of idle) connection.close();
  await waitUntil("a place", async () => (await run(sshLine(openssh, owner, [], "whoami"))).code === 0);
});

peerTest("clients are as many as configured", [openssh], async () => {
  await using scene = await makeScene(["--max-clients", "1"]);
  await using _only = start(sshLine(openssh, scene.owner, ["-N", "-R", "web:22:127.0.0.1:9"]));
  await waitUntil("the name", () => scene.gateway.process.stderr.toString().includes("is connected"));
  const { code, stderr } = await run(sshLine(openssh, scene.owner, [], "whoami"));
  assert.equal(code, 255);
  assert.match(stderr, /Not allowed at this time|Connection (closed|reset)/);
});

peerTest("an address that only breaks the protocol is held off, another one is not", [openssh], async () => {
  await using scene = await makeScene();
  const { gateway, owner } = scene;
  const nonsense = new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n".repeat(2));
  await waitUntil("being held off", async () => {
    using connection = await dial(gateway.port);
    const first = await greeting(connection);
    await connection.write(nonsense).catch(() => {});
    // To the end, so that it counts before the next one comes.
    while (await greeting(connection) !== "");
    return /^Not allowed/.test(first);
  });
  assert.equal((await run(sshLine(openssh, owner, [], "whoami"))).code, 255);
  await succeed(sshLine(openssh, owner, ["-b", "127.0.0.2"], "whoami"));
  assert.match(gateway.process.stderr.toString(), /too many failures from this address/);
});
