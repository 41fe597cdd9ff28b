/** The way to a gateway's port. */
import type { Clock } from "../platform/clock.ts";
import { type Net, type NetConnection, NetError } from "../platform/net.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";

/** Until TCP connects, in milliseconds: systems themselves wait for minutes. */
const DIAL_TIMEOUT_MS = 10_000;

/** @throws {NetError} `timeout` too; the signal's reason */
export async function dialGateway(
  gateway: GatewayAddress,
  net: Net,
  clock: Clock,
  signal: AbortSignal,
): Promise<NetConnection> {
  const { hostname, port } = gateway;
  const timeout = new AbortController();
  const late = new NetError("timeout", `cannot dial ${formatGateway(gateway)}: no answer in time`);
  const cancel = clock.after(DIAL_TIMEOUT_MS, () => timeout.abort(late));
  try {
    const either = AbortSignal.any([signal, timeout.signal]);
    return await net.dial({ transport: "tcp", hostname, port }, { signal: either });
  } finally {
    cancel();
  }
}
