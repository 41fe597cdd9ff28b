/** Connections that a balancer passes on (`--proxy-from`): whose they are, as its PROXY header says. */
import type { AddressRange } from "../bytes/ip_range.ts";
import { MAX_PROXY_HEADER, ProxyHeaderError, readProxyHeader } from "../edge/proxy_protocol.ts";
import { sourceInRanges } from "../identity/ranges.ts";
import type { Clock } from "../platform/clock.ts";
import type { TcpAddress } from "../platform/net.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { peek, type PeekOptions } from "../streams/peek.ts";
import { SILENCE } from "./protocol.ts";

/** Milliseconds for a whole header: balancers send it at once, before anything else. */
const HEADER_TIME = 5_000;

/** A connection and whose it is. */
export interface Arrival {
  readonly connection: PlainDuplex;
  readonly remote: TcpAddress;
}

/**
 * Takes the header off a connection from an address of `proxyFrom`; there it may be absent, as where people and the balancer
 * share an address. From anywhere else nothing is looked at: a header is then no header, and breaks whatever protocol.
 * @throws {ProxyHeaderError} it began as one
 */
export async function behindProxy(
  arrival: Arrival,
  proxyFrom: readonly AddressRange[],
  clock: Clock,
): Promise<Arrival> {
  const { remote } = arrival;
  if (!sourceInRanges(proxyFrom, remote.hostname)) return arrival;
  let fault: unknown;
  const enough: PeekOptions["enough"] = (seen) => {
    try {
      return readProxyHeader(seen) !== "more";
    } catch (error) {
      fault = error;
      return true;
    }
  };
  const look = (at: PlainDuplex, timeout: number) =>
    peek(at, { enough, limit: MAX_PROXY_HEADER, timeout, clock });
  let { connection, seen, reason } = await look(arrival.connection, SILENCE);
  // Who has begun is heard out.
  if (reason === "timeout" && seen.length > 0) {
    ({ connection, seen, reason } = await look(connection, HEADER_TIME));
  }
  if (fault) throw fault;
  const header = seen.length === 0 ? "none" : readProxyHeader(seen);
  if (header === "none") return { connection, remote };
  if (header === "more") throw new ProxyHeaderError("it is not whole");
  await discard(connection, header.length);
  const { source } = header;
  return {
    connection,
    remote: source ? { transport: "tcp", hostname: source.address, port: source.port } : remote,
  };
}

async function discard(connection: PlainDuplex, length: number): Promise<void> {
  for (let left = length; left > 0;) {
    const count = await connection.read(new Uint8Array(left));
    if (count === null) return;
    left -= count;
  }
}
