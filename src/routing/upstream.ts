/** Targets that are dialled: addresses on a network. */
import { type Address, formatAddress, type Net } from "../platform/net.ts";
import { type Target, TargetError } from "./target.ts";

/**
 * A target that dials `address`. Whether that is permitted was decided before; for TCP give the IP address that was
 * judged, not its name, so that no second look-up can answer differently.
 */
export function dialTarget(net: Net, address: Address): Target {
  const description = formatAddress(address);
  return {
    id: `dial:${address.transport}:${description}`,
    description,
    async open({ signal }) {
      try {
        return await net.dial(address, signal && { signal });
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        const why = error instanceof Error ? error.message : String(error);
        throw new TargetError("failed", `cannot reach ${description}: ${why}`, { cause: error });
      }
    },
  };
}
