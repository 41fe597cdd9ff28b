/** What the links to all gateways share. */
import type { ForwardPolicy } from "../ssh/forward/incoming.ts";
import type { ForwardedConnection } from "../ssh/forward/outgoing.ts";
import type { Exposure } from "./exposure.ts";
import type { ConnectContext } from "./gateway_connect.ts";

export interface LinkContext extends ConnectContext {
  /** The same for all links of this process, and nobody else's. */
  readonly instance: string;
  readonly name?: string;
  readonly exposures: readonly Exposure[];
  readonly private: boolean;
  /** Ranges as `--allow-dial` writes them. */
  readonly allowDial: readonly string[];
  /** Serves what others open to this node. */
  readonly onConnection: (exposure: Exposure, connection: ForwardedConnection) => void | Promise<void>;
  /** Serves what others dial through this node. */
  readonly dialPolicy: ForwardPolicy;
}
