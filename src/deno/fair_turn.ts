/**
 * Turns for connections that have nothing to say at the moment a busy one has everything.
 *
 * A read or write that can be done at once is done at once, without the runtime asking the system about any other
 * connection. One busy connection can so keep all others waiting for as long as its bytes last: 300 ms were measured.
 * What makes the runtime ask is having to wait for an answer from the system itself. So now and then the busy one waits
 * for a byte that this process sends to itself: some 25 µs.
 */

/** Work without a turn for others, in milliseconds. */
const LONGEST_WITHOUT_TURN = 0.3;

/** A read that took longer was not done at once: the system was asked meanwhile. In milliseconds. */
const SURELY_WAITED = 0.2;

/** The same without a socket of our own, where a turn costs ten times as much. */
const LONGEST_WITHOUT_TURN_BY_TICKS = 4;

/** Tokio looks at its connections after 61 of its ticks at the latest. */
const TICKS_OF_A_TURN = 64;

let limit = Infinity;
let lastTurn = 0;
let turn: Promise<void> | undefined;
let ownSocket: Promise<(() => Promise<void>) | undefined> | undefined;

/** From now on {@link turnAfter} gives turns; before, it never does. Opens its sockets when first needed. */
export function takeFairTurns(): void {
  limit = LONGEST_WITHOUT_TURN;
}

/**
 * To be asked after every read.
 * @param began when the read began, by `performance.now()`
 * @returns what to wait for when the others have had no turn for too long, else undefined; never rejects
 */
export function turnAfter(began: number): Promise<void> | undefined {
  if (limit === Infinity) return undefined;
  const now = performance.now();
  if (now - began > SURELY_WAITED) {
    lastTurn = now;
    return undefined;
  }
  return now - lastTurn > limit ? turn ??= giveTurn() : undefined;
}

async function giveTurn(): Promise<void> {
  try {
    const wait = await (ownSocket ??= openOwnSocket());
    if (wait) {
      await wait();
    } else {
      limit = LONGEST_WITHOUT_TURN_BY_TICKS;
      for (let i = 0; i < TICKS_OF_A_TURN; i++) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } catch {
    // A turn must never cost anybody the bytes that were just read: from now on without the socket.
    ownSocket = Promise.resolve(undefined);
  } finally {
    lastTurn = performance.now();
    turn = undefined;
  }
}

/** Undefined where the permissions leave no loopback port. */
async function openOwnSocket(): Promise<(() => Promise<void>) | undefined> {
  const { state } = await Deno.permissions.query({ name: "net", host: "127.0.0.1" });
  if (state !== "granted") return undefined;
  try {
    using opened = new DisposableStack();
    const listener = opened.use(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
    const near = opened.use(await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }));
    const far = opened.use(await acceptFrom(listener, near.localAddr.port));
    near.setNoDelay();
    const sent = new Uint8Array(1);
    const received = new Uint8Array(16);
    // The two stay as long as the process.
    opened.move();
    listener.close();
    return async () => {
      // The read first: it must find nothing, and have to wait.
      const arriving = far.read(received);
      await near.write(sent);
      await arriving;
    };
  } catch {
    return undefined;
  }
}

/** A stranger may have been quicker to connect. */
async function acceptFrom(listener: Deno.TcpListener, port: number): Promise<Deno.TcpConn> {
  for (;;) {
    const connection = await listener.accept();
    if (connection.remoteAddr.port === port) return connection;
    connection.close();
  }
}
