/** Our client against our server: every method, every key, every combination that a configuration can ask for. */
import assert from "node:assert/strict";
import { equal } from "../../../src/bytes/bytes.ts";
import type { Signer } from "../../../src/keys/types.ts";
import type { ClientAuth, Credential } from "../../../src/ssh/auth/client/types.ts";
import type { PublicKeyRequest, ServerAuth, Verdict } from "../../../src/ssh/auth/server/types.ts";
import { AuthenticationError } from "../../../src/ssh/auth/types.ts";
import { UserauthRequest } from "../../../src/ssh/auth/messages.ts";
import { keyAlgorithms, signatureAlgorithms } from "../../../src/ssh/algorithms/key_algorithms.ts";
import { meet } from "./in_memory.ts";
import { certified, KEY_TYPES, testKey } from "./test_keys.ts";

const no: Verdict<never> = { result: "refused" };
const yes = (identity: string): Verdict<string> => ({ result: "accepted", identity });

/** Lets the holder of `signer`'s key in; with `certificates`, only who shows one for it. */
function holderOf(signer: Signer, certificates = false): ServerAuth<string> {
  return {
    publicKey: ({ key, certificate }) =>
      equal(key.blob, signer.publicKey.blob) && (certificate !== undefined) === certificates
        ? yes("holder")
        : no,
  };
}

function ann(...credentials: Credential[]): ClientAuth {
  return { user: "ann", credentials };
}

for (const type of KEY_TYPES) {
  for (const ask of [true, false]) {
    for (const hostbound of [false, true]) {
      const how = `${ask ? "asked about first" : "signed at once"}${
        hostbound ? ", bound to the host key" : ""
      }`;
      Deno.test(`${type}, ${how}: in`, async () => {
        const signer = await testKey(type);
        const { server, client, story } = await meet(
          holderOf(signer),
          ann({ method: "publickey", signers: [signer], ask }),
          ({ client }) => {
            client.publicKeyHostbound = hostbound;
            client.serverSignatureAlgorithms = signatureAlgorithms;
          },
        );
        assert.ok(!(server instanceof Error), `${server}`);
        assert.equal(server.user, "ann");
        assert.equal(server.identity, "holder");
        assert.deepEqual(server.methods.map(({ method }) => method), ["publickey"]);
        assert.deepEqual(server.methods[0].key?.blob, signer.publicKey.blob);
        assert.deepEqual(client, { user: "ann", methods: ["publickey"], keys: [signer.publicKey] });
        assert.deepEqual(story, ["none refused", ...(ask ? ["publickey known"] : []), "publickey accepted"]);
      });
    }
  }

  Deno.test(`certificate of ${type}: in before the plain key is tried`, async () => {
    const signer = await certified(await testKey(type), ["deploy"]);
    const { server, story } = await meet(
      holderOf(signer, true),
      ann({ method: "publickey", signers: [signer] }),
    );
    assert.ok(!(server instanceof Error), `${server}`);
    assert.deepEqual(server.methods[0].certificate?.principals, ["deploy"]);
    assert.deepEqual(server.methods[0].certificate?.blob, signer.certificate);
    assert.deepEqual(story, ["none refused", "publickey known", "publickey accepted"]);
  });
}

for (
  const [announced, used] of [
    [["ssh-rsa", "rsa-sha2-256"], "rsa-sha2-256"],
    [["rsa-sha2-256", "rsa-sha2-512"], "rsa-sha2-512"],
    [undefined, "rsa-sha2-512"],
  ] as const
) {
  Deno.test(`an RSA key signs with ${used} when the server announces ${announced ?? "nothing"}`, async () => {
    const signer = await testKey("ssh-rsa");
    const asked: PublicKeyRequest[] = [];
    await meet<string>(
      { publicKey: (request) => (asked.push(request), yes("holder")) },
      ann({ method: "publickey", signers: [signer] }),
      ({ client }) => client.serverSignatureAlgorithms = announced,
    );
    assert.deepEqual(asked.map(({ algorithm }) => algorithm), [used]);
  });
}

Deno.test("an RSA key is not offered to a server that only knows SHA-1; other keys are", async () => {
  const [rsa, ed25519] = [await testKey("ssh-rsa"), await testKey()];
  const { client, story } = await meet(
    { publicKey: () => no },
    ann({ method: "publickey", signers: [rsa, ed25519] }),
    ({ client }) => client.serverSignatureAlgorithms = ["ssh-rsa"],
  );
  assert.deepEqual(story, ["none refused", "publickey refused"]);
  assert.match(
    (client as Error).message,
    /ssh-rsa SHA256:\S+ \(the server takes no RSA signature with SHA-2\)/,
  );
});

Deno.test("every algorithm can be switched off", async () => {
  for (const name of keyAlgorithms.keys()) {
    const { keyType, certificate, signature } = keyAlgorithms.get(name)!;
    const plain = await testKey(keyType);
    const signer = certificate ? { ...await certified(plain) } : plain;
    const algorithms = [...keyAlgorithms.keys()].filter((one) => one !== name);
    let asked = 0;
    const { attempts } = await meet<string>(
      { algorithms, publicKey: (request) => (request.algorithm === name && asked++, no) },
      ann({ method: "publickey", signers: [signer], ask: false }),
      ({ client }) => client.serverSignatureAlgorithms = [signature],
    );
    assert.equal(asked, 0, name);
    assert.ok(attempts.some(({ reason }) => reason === "public key algorithm not accepted"), name);
  }
});

Deno.test("none: in where a callback says so", async () => {
  const { server, client } = await meet({ none: ({ user }) => yes(user) }, ann());
  assert.deepEqual(server, {
    user: "ann",
    identity: "ann",
    methods: [{ method: "none", key: undefined, certificate: undefined }],
  });
  assert.deepEqual(client, { user: "ann", methods: ["none"], keys: [] });
});

const withPassword: ServerAuth<string> = {
  password: ({ password }) => password === "pä ss" ? yes("ann") : no,
};

Deno.test("password: in with the right one", async () => {
  const { server, client } = await meet(withPassword, ann({ method: "password", password: "pä ss" }));
  assert.ok(!(server instanceof Error));
  assert.deepEqual((client as { methods: unknown }).methods, ["password"]);
});

Deno.test("password: a person is asked three times, a program once", async () => {
  const attempts: number[] = [];
  const ask = (attempt: number) => (attempts.push(attempt), attempt === 3 ? "pä ss" : "wrong");
  const { server } = await meet(withPassword, ann({ method: "password", password: ask }));
  assert.ok(!(server instanceof Error));
  assert.deepEqual(attempts, [1, 2, 3]);
  const { story, client } = await meet(withPassword, ann({ method: "password", password: "wrong" }));
  assert.deepEqual(story, ["none refused", "password refused"]);
  assert.ok(client instanceof AuthenticationError);
});

Deno.test("password: who gives up is not asked again, and the next method is tried", async () => {
  let asked = 0;
  const { server, story } = await meet(
    { ...withPassword, keyboardInteractive: () => yes("ann") },
    ann(
      { method: "password", password: () => (asked++, undefined) },
      { method: "keyboard-interactive", answer: () => [] },
    ),
  );
  assert.ok(!(server instanceof Error));
  assert.equal(asked, 1);
  assert.deepEqual(story, ["none refused", "keyboard-interactive accepted"]);
});

Deno.test("keyboard-interactive: as many rounds as the callback wants, prompts as it wrote them", async () => {
  const token = "part-one+part-two+end";
  const seen: unknown[] = [];
  const { server } = await meet<string>({
    async keyboardInteractive({ user, prompt }) {
      let whole = "";
      let text = "Token, or its first part ending in +: ";
      do {
        whole += (await prompt({ name: "Login", prompts: [{ text, echo: false }] }))[0];
        text = "Next part: ";
      } while (whole.endsWith("+"));
      assert.deepEqual(await prompt({ instruction: "Thank you." }), []);
      return whole === token ? yes(user) : no;
    },
  }, {
    user: "ann",
    credentials: [{
      method: "keyboard-interactive",
      answer: (
        challenge,
      ) => (seen.push(challenge), challenge.prompts.map(() => token.split(/(?<=\+)/)[seen.length - 1])),
    }],
  });
  assert.ok(!(server instanceof Error), `${server}`);
  const round = (text: string) => ({ name: "Login", instruction: "", prompts: [{ text, echo: false }] });
  assert.deepEqual(seen, [
    round("Token, or its first part ending in +: "),
    round("Next part: "),
    round("Next part: "),
    { name: "", instruction: "Thank you.", prompts: [] },
  ]);
});

/** The server of the following tests wants a key and then a password, like AuthenticationMethods publickey,password. */
function keyThenPassword(signer: Signer): ServerAuth<string> {
  return {
    methods: () => ["publickey"],
    publicKey: ({ key }) =>
      equal(key.blob, signer.publicKey.blob) ? { result: "partial", methods: ["password"] } : no,
    password: ({ password, passed }) =>
      password === "right" && passed[0]?.method === "publickey" ? yes("ann") : no,
  };
}

Deno.test("two factors: a key, then a password, whatever order the client has them in", async () => {
  const signer = await testKey();
  const { server, client, story } = await meet(
    keyThenPassword(signer),
    ann({ method: "password", password: "right" }, { method: "publickey", signers: [signer] }),
  );
  assert.ok(!(server instanceof Error), `${server}`);
  assert.deepEqual(server.methods.map(({ method }) => method), ["publickey", "password"]);
  assert.deepEqual(server.methods[0].key?.blob, signer.publicKey.blob);
  assert.deepEqual(client, { user: "ann", methods: ["publickey", "password"], keys: [signer.publicKey] });
  assert.deepEqual(story, ["none refused", "publickey partial", "password accepted"]);
});

Deno.test("two different keys: one that was refused at first is tried again as the second", async () => {
  const [first, second] = [await testKey("ssh-ed25519", "A"), await testKey("ssh-ed25519", "B")];
  const { server } = await meet<string>({
    publicKey({ key, passed }) {
      const wanted = passed.length === 0 ? first : second;
      if (!equal(key.blob, wanted.publicKey.blob)) return no;
      return passed.length === 0 ? { result: "partial", methods: ["publickey"] } : yes("ann");
    },
  }, ann({ method: "publickey", signers: [second, first] }));
  assert.ok(!(server instanceof Error), `${server}`);
  assert.deepEqual(server.methods.map(({ key }) => key!.blob), [first.publicKey.blob, second.publicKey.blob]);
});

Deno.test("a client with nothing that fits says what it tried and what the server takes", async () => {
  const signer = await testKey();
  const { client, server } = await meet(
    { publicKey: () => no, keyboardInteractive: () => no },
    ann({ method: "password", password: "x" }, { method: "publickey", signers: [signer] }),
  );
  assert.ok(client instanceof AuthenticationError);
  assert.equal(client.code, "auth");
  assert.deepEqual(client.methods, ["publickey", "keyboard-interactive"]);
  const fingerprint = await signer.publicKey.fingerprint();
  assert.equal(
    client.message,
    `the server does not let "ann" in; tried: ssh-ed25519 ${fingerprint}; it accepts: publickey, keyboard-interactive`,
  );
  assert.match((server as Error).message, /ended/);
});

Deno.test("the only key is signed with at once; of several, and FIDO keys, the server is asked first", async () => {
  const [plain, other, fido] = [
    await testKey(),
    await testKey("ssh-ed25519", "B"),
    await testKey(KEY_TYPES[5]),
  ];
  for (const [signers, signed] of [[[plain], true], [[plain, other], false], [[fido], false]] as const) {
    const { streams } = await meet({ publicKey: () => no }, ann({ method: "publickey", signers }));
    const first = UserauthRequest.decode(streams.client.sent[2]);
    assert.equal(first.fields[0] === 1, signed);
  }
});

Deno.test("a signer with a certificate for another type of key is a mistake of the caller", async () => {
  const signer = {
    ...await testKey(),
    certificate: (await certified(await testKey(KEY_TYPES[1]))).certificate,
  };
  const { client } = await meet({ publicKey: () => no }, ann({ method: "publickey", signers: [signer] }));
  assert.ok(client instanceof TypeError);
});
