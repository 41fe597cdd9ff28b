import assert from "node:assert/strict";
import { type AlgorithmLists, defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { KexMarker, negotiate, type Proposal, propose } from "../../../src/ssh/algorithms/negotiation.ts";
import { DisconnectReason, SshError } from "../../../src/ssh/error.ts";

const lists = {
  kex: ["k1", "k2"],
  hostKey: ["h1", "h2"],
  cipher: ["aes128-ctr", "aes256-ctr"],
  mac: ["m1", "m2"],
  compression: ["none"],
};

function offer(changes: Partial<AlgorithmLists> = {}, ...markers: string[]): Proposal {
  return propose({ ...lists, ...changes }, ...markers);
}

Deno.test("the client's first name that the server has is chosen", () => {
  const server = offer({
    kex: ["k3", "k2"],
    hostKey: ["h2", "h1"],
    cipher: ["aes256-ctr"],
    mac: ["m2", "m1"],
  });
  const direction = { cipher: "aes256-ctr", mac: "m1", compression: "none" };
  assert.deepEqual(negotiate(offer(), server), {
    kex: "k2",
    hostKey: "h1",
    clientToServer: direction,
    serverToClient: direction,
    guessIsRight: false,
  });
});

Deno.test("each direction is negotiated by itself", () => {
  const client = { ...offer(), cipherServerToClient: ["aes256-ctr"], macClientToServer: ["m2"] };
  const { clientToServer, serverToClient } = negotiate(client, offer());
  assert.deepEqual(clientToServer, { cipher: "aes128-ctr", mac: "m2", compression: "none" });
  assert.deepEqual(serverToClient, { cipher: "aes256-ctr", mac: "m1", compression: "none" });
});

Deno.test("an AEAD cipher has no MAC, and needs none in common", () => {
  for (
    const cipher of ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
  ) {
    const { clientToServer } = negotiate(offer({ cipher: [cipher], mac: [] }), offer({ cipher: [cipher] }));
    assert.equal(clientToServer.mac, undefined);
  }
});

Deno.test("markers among the key exchange methods are never chosen, nor do they make a guess wrong", () => {
  const all = Object.values(KexMarker);
  assert.throws(() => negotiate(offer({ kex: all }), offer({ kex: all })), SshError);
  const client = offer({ kex: [...all, "k1"] });
  const negotiated = negotiate(client, offer({}, ...all));
  assert.equal(negotiated.kex, "k1");
  assert.equal(negotiated.guessIsRight, true);
});

Deno.test("a guess is right when both prefer the same method and host key algorithm", () => {
  const guess = (changes: Partial<AlgorithmLists>) => negotiate(offer(), offer(changes)).guessIsRight;
  assert.equal(guess({}), true);
  assert.equal(guess({ kex: ["k2", "k1"] }), false);
  assert.equal(guess({ hostKey: ["h2", "h1"] }), false);
  // RFC 4253 §7: only these two lists decide.
  assert.equal(guess({ cipher: ["aes256-ctr", "aes128-ctr"] }), true);
});

Deno.test("nothing in common names the kind and both lists", () => {
  const kinds: [keyof AlgorithmLists, RegExp][] = [
    ["kex", /^no common key exchange method: the client offers k1,k2; the server x$/],
    ["hostKey", /^no common host key algorithm: the client offers h1,h2; the server x$/],
    ["cipher", /^no common cipher client to server: /],
    ["mac", /^no common MAC client to server: /],
    ["compression", /^no common compression client to server: the client offers none; the server x$/],
  ];
  for (const [kind, message] of kinds) {
    assert.throws(() => negotiate(offer(), offer({ [kind]: ["x"] })), (error: unknown) => {
      assert.ok(error instanceof SshError);
      assert.equal(error.code, "negotiation");
      assert.equal(error.reason, DisconnectReason.keyExchangeFailed);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => negotiate(offer({ kex: [] }), offer()), /the client offers nothing; /);
});

Deno.test("a peer's names cannot forge lines of the log, nor flood it", () => {
  const kex = ["\x1b[2J\r\n" + "a".repeat(10000)];
  assert.throws(() => negotiate(offer({ kex }), offer()), (error: unknown) => {
    const { message } = error as Error;
    // deno-lint-ignore no-control-regex
    return !/[\x00-\x1f]/.test(message) && message.length < 1000;
  });
});

Deno.test("the default lists agree with themselves on the best of each", () => {
  const { kex, hostKey, clientToServer } = negotiate(propose(defaultAlgorithms), propose(defaultAlgorithms));
  assert.equal(kex, "mlkem768x25519-sha256");
  assert.equal(hostKey, "ssh-ed25519-cert-v01@openssh.com");
  assert.deepEqual(clientToServer, { cipher: "aes256-gcm@openssh.com", mac: undefined, compression: "none" });
});
