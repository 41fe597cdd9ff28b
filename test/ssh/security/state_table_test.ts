/** State confusion (CVE-2018-10933, CVE-2023-46445, CVE-2025-32433): every message number in every state. */
import assert from "node:assert/strict";
import {
  type Disposition,
  dispositionOf,
  type PeerExchange,
  type Phase,
  type Role,
} from "../../../src/ssh/transport/expected.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { againstClient, againstServer, type HandPeer } from "../hand_peer.ts";

const every = Array.from({ length: 256 }, (_, number) => number);

function span(from: number, to: number): number[] {
  return every.slice(from, to + 1);
}

type Expected = Partial<Record<Exclude<Disposition, "disconnect">, number[]>>;

/** Written down apart from the code: what is not listed disconnects. */
const states: [Role, Phase, PeerExchange, "strict" | "lax", Expected][] = [];
for (const role of ["client", "server"] as const) {
  const method = role === "server" ? 30 : 31;
  for (const mode of ["strict", "lax"] as const) {
    states.push([role, "initial", "none", mode, { handle: [1, 3, 20], ignore: [2, 4] }]);
    const lax: Expected = { ignore: [2, 4] };
    const initially = (handle: number[]): Expected =>
      mode === "strict" ? { handle: [1, ...handle] } : { ...lax, handle: [1, 3, ...handle] };
    states.push([role, "initial", "guess", mode, initially(span(30, 49))]);
    states.push([role, "initial", "method", mode, initially([method])]);
    states.push([role, "initial", "newkeys", mode, initially([21])]);
    for (const phase of ["auth", "connected"] as const) {
      states.push([role, phase, "guess", mode, { ...lax, handle: [1, 3, ...span(30, 49)] }]);
      states.push([role, phase, "method", mode, { ...lax, handle: [1, 3, method] }]);
      states.push([role, phase, "newkeys", mode, { ...lax, handle: [1, 3, 21] }]);
    }
    const auth = role === "server" ? [5, 7, 20, 50, 61, 192] : [6, 7, 20, 51, 52, 53, 60, 192, 193];
    states.push([role, "auth", "none", mode, { handle: [1, 3, ...auth], ignore: [2, 4] }]);
    states.push([role, "connected", "none", mode, {
      handle: [1, 3, 20, 80, 81, 82, ...span(90, 100), 192, 193],
      ignore: role === "server" ? [2, 4, 50] : [2, 4],
      unimplemented: [...span(8, 19), ...span(83, 89), ...span(101, 191), ...span(194, 255)],
    }]);
  }
}

for (const [role, phase, exchange, mode, expected] of states) {
  Deno.test(`a ${role} (${phase}, exchange ${exchange}, ${mode}) takes what is listed and nothing else`, () => {
    for (const number of every) {
      const listed = Object.entries(expected).find(([, numbers]) => numbers.includes(number));
      assert.equal(
        dispositionOf(number, role, phase, exchange, mode === "strict"),
        listed?.[0] ?? "disconnect",
        `message ${number}`,
      );
    }
  });
}

Deno.test("no state of a server takes USERAUTH_SUCCESS, and none before success takes 80 or above", () => {
  for (const phase of ["initial", "auth", "connected"] as const) {
    for (const exchange of ["none", "guess", "method", "newkeys"] as const) {
      for (const strict of [true, false]) {
        assert.equal(dispositionOf(52, "server", phase, exchange, strict), "disconnect");
        if (phase === "connected") continue;
        for (const number of span(80, 191)) {
          assert.equal(dispositionOf(number, "server", phase, exchange, strict), "disconnect");
        }
      }
    }
  }
});

/** Numbers at the edges of every range, for the states that cost a handshake to get into. */
const edges = [0, 5, 6, 7, 8, 19, 20, 21, 29, 30, 31, 34, 49, 50, 51, 52, 53, 54, 60, 61, 66, 79]
  .concat([80, 81, 82, 83, 89, 90, 91, 94, 97, 98, 99, 100, 101, 127, 128, 191, 192, 193, 194, 255]);

interface LiveState {
  readonly name: string;
  readonly phase: Phase;
  readonly exchange: PeerExchange;
  readonly numbers: number[];
  reach(peer: HandPeer): Promise<void>;
}

const live: LiveState[] = [
  {
    name: "before KEXINIT",
    phase: "initial",
    exchange: "none",
    numbers: every,
    reach: (peer) => peer.identify(),
  },
  {
    name: "after KEXINIT",
    phase: "initial",
    exchange: "method",
    numbers: every,
    async reach(peer) {
      await peer.identify();
      peer.sendKexInit();
      await peer.receiveKexInit();
    },
  },
  {
    name: "before NEWKEYS",
    phase: "initial",
    exchange: "newkeys",
    numbers: edges,
    async reach(peer) {
      await peer.identify();
      peer.sendKexInit();
      await peer.receiveKexInit();
      if (peer.role === "client") await peer.sendMethod();
      await peer.receiveMethod();
      // The library has sent its own already: its goodbye comes under new keys.
      await peer.receiveNewKeys();
    },
  },
  {
    name: "before authentication",
    phase: "auth",
    exchange: "none",
    numbers: edges,
    async reach(peer) {
      await peer.identify();
      await peer.exchangeKeys();
    },
  },
  {
    name: "authenticated",
    phase: "connected",
    exchange: "none",
    numbers: edges,
    reach: (peer) => peer.connect(),
  },
  {
    name: "authenticated, in the peer's key exchange",
    phase: "connected",
    exchange: "method",
    numbers: edges,
    async reach(peer) {
      await peer.connect();
      peer.sendKexInit();
      await peer.receiveKexInit();
    },
  },
];

for (const role of ["server", "client"] as const) {
  for (const { name, phase, exchange, numbers, reach } of live) {
    Deno.test(`a live ${role} ${name} does with every number what the table says`, async () => {
      for (const number of numbers) {
        const expected = dispositionOf(number, role, phase, exchange, true);
        // What is handled has a content of its own: other tests' matter.
        if (expected === "handle") continue;
        await using pair = role === "server" ? againstServer() : againstClient();
        const { peer } = pair;
        await reach(peer);
        peer.send(new Uint8Array([number, 0, 0, 0, 0, 0, 0, 0, 0]));
        if (expected === "disconnect") {
          assert.equal(await peer.goodbye(), `message ${number} is not allowed here`);
          await assert.rejects(pair.library.then((c) => c.closed).then((e) => Promise.reject(e)), {
            code: "protocol",
          });
        } else if (expected === "unimplemented") {
          const answer = await peer.receiveNumber(Msg.UNIMPLEMENTED);
          assert.equal(answer.length, 5);
        } else if (phase === "connected" && exchange === "none") {
          peer.send(new Uint8Array([Msg.PING, 0, 0, 0, 1, 7]));
          assert.deepEqual(await peer.receiveNumber(Msg.PONG), new Uint8Array([Msg.PONG, 0, 0, 0, 1, 7]));
        }
      }
    });
  }
}

Deno.test("a server that is told USERAUTH_SUCCESS, in place of or behind a request, hangs up", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.identify();
  await peer.exchangeKeys();
  peer.send(new Uint8Array([Msg.USERAUTH_SUCCESS]));
  assert.match((await peer.goodbye())!, /message 52 is not allowed/);
  await assert.rejects(pair.library, { code: "protocol" });
});

Deno.test("a client is not authenticated by a success that answers no request", async () => {
  await using pair = againstClient();
  const { peer } = pair;
  await peer.identify();
  await peer.exchangeKeys();
  peer.send(new Uint8Array([Msg.USERAUTH_SUCCESS]));
  await assert.rejects(pair.library, { code: "protocol" });
});

Deno.test("UNIMPLEMENTED names the packet that was not understood", async () => {
  await using pair = againstServer({}, { strict: true });
  const { peer } = pair;
  await peer.connect();
  peer.send(new Uint8Array([Msg.IGNORE, 0, 0, 0, 0]));
  peer.send(new Uint8Array([200]));
  peer.send(new Uint8Array([201]));
  const first = await peer.receiveNumber(Msg.UNIMPLEMENTED);
  const second = await peer.receiveNumber(Msg.UNIMPLEMENTED);
  assert.equal(second[4], first[4] + 1);
});
