/** Joining a channel with what it is forwarded to or from: a relay that also ends when the channel's peer has gone. */
import type { Bytes } from "../../bytes/bytes.ts";
import { type Duplex, plain, type PlainDuplex, PlainDuplexBase } from "../../streams/duplex.ts";
import { relay, type RelayOptions, type RelayResult } from "../../streams/relay.ts";
import type { Channel } from "../connection/types.ts";
import { SshError } from "../error.ts";

/**
 * Relays between `channel` (`a`) and `other` (`b`). Never rejects, owns both, as `relay` does.
 *
 * A peer that has sent its EOF and then closes the channel, or loses the connection, would leave a plain relay waiting for
 * `other` to say something, which may be never. This one ends once the channel is closed and all that came from it has
 * been passed on.
 */
export function joinChannel(
  channel: Channel,
  other: Duplex,
  options: RelayOptions = {},
): Promise<RelayResult> {
  const { signal } = options;
  const life = new AbortController();
  const onAbort = () => life.abort(signal!.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const watched = new EndWatch(plain(other), async () => {
    await channel.closed;
    life.abort(new SshError("closed", `the ${channel.type} channel is closed`));
  });
  return relay(channel, watched, { ...options, signal: life.signal })
    .finally(() => signal?.removeEventListener("abort", onAbort));
}

/** A view of a connection that tells when everything for it has been written. */
class EndWatch extends PlainDuplexBase {
  readonly #inner: PlainDuplex;
  readonly #onEnd: () => void;

  constructor(inner: PlainDuplex, onEnd: () => void) {
    super();
    this.#inner = inner;
    this.#onEnd = onEnd;
  }

  read(into: Bytes): Promise<number | null> {
    return this.#inner.read(into);
  }

  write(from: Bytes): Promise<void> {
    return this.#inner.write(from);
  }

  async closeWrite(): Promise<void> {
    await this.#inner.closeWrite();
    this.#onEnd();
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }
}
