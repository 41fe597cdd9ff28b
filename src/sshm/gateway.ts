/** A connection to the gateway, as a user. */
import { AgentError } from "../agent/exit_codes.ts";
import { formatGateway, type GatewayAddress } from "../agent/gateway_address.ts";
import { dialGateway } from "../agent/gateway_dial.ts";
import { GatewayTrust } from "../agent/gateway_trust.ts";
import { expandHome, openTextIfThere, requireText, type TextFile } from "../agent/text_file.ts";
import { type KnownHosts, parseKnownHosts } from "../keys/known_hosts.ts";
import { NetError } from "../platform/net.ts";
import { StateError, type StateFolder } from "../platform/state.ts";
import { defaultClientAlgorithms, preferHostKeys } from "../ssh/algorithms/lists.ts";
import { type ClientConnection, connectSsh } from "../ssh/client.ts";
import { keepAlive } from "../ssh/connection/keepalive.ts";
import { SshError } from "../ssh/error.ts";
import { type KeyUse, loadCredentials } from "./credentials.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { note } from "./output.ts";

/** A gateway that falls silent is found within half a minute. */
const KEEPALIVE = { intervalMs: 10_000, misses: 2 };

/** Where known hosts lie unless a flag says so. */
const USUAL_KNOWN_HOSTS = ["~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"];

/** @throws {SshmError} `usage` */
export function requireGateway({ gateway }: GlobalFlags): GatewayAddress {
  if (gateway) return gateway;
  throw new SshmError("usage", "which gateway? say --gateway HOST:PORT, or set SSHM_GATEWAY");
}

/**
 * Connects, believes the host key, authenticates. A host key that is not known is refused: nothing is believed because it was
 * the first.
 * @throws {SshmError}, {@link AgentError} with a sentence
 */
export async function openGateway(
  host: SshmHost,
  flags: GlobalFlags,
  use: KeyUse = {},
): Promise<ClientConnection> {
  const gateway = requireGateway(flags);
  const where = formatGateway(gateway);
  const knownHosts = await readKnownHosts(host, flags);
  const trust = new GatewayTrust(
    { knownHosts, fingerprints: flags.gatewayKey },
    NO_PINS,
    () => host.clock.now(),
    () => {},
  );
  const credentials = await loadCredentials(host, flags, use);
  let disbelief: unknown;
  try {
    const duplex = await dialGateway(gateway, host.net, host.clock, host.ending);
    const connection = await connectSsh(duplex, {
      crypto: await host.crypto(),
      clock: host.clock,
      signal: host.ending,
      algorithms: preferHostKeys(defaultClientAlgorithms, await trust.known(gateway)),
      verifyHostKey: async (shown) => {
        try {
          await trust.verify(gateway, shown);
          return true;
        } catch (error) {
          disbelief = advised(error);
          return "the host key is not believed";
        }
      },
      auth: {
        user: gateway.user ?? host.user,
        credentials: credentials.credentials,
        onBanner: (text) => void note(host, text.trimEnd()),
      },
    });
    keepAlive(connection, { clock: host.clock, ...KEEPALIVE });
    return connection;
  } catch (error) {
    if (disbelief) throw disbelief;
    throw explained(error, where);
  } finally {
    credentials.close();
  }
}

/** Says what to do about a gateway that is not known yet. */
function advised(error: unknown): unknown {
  if (!(error instanceof AgentError) || error.reason !== "unknownGateway") return error;
  return new SshmError(
    "unknownGateway",
    `${error.message}. Compare it with what the gateway printed at its start, then say --gateway-key, or add the line ` +
      "it printed to ~/.ssh/known_hosts",
  );
}

/** A fault of the connection as a sentence for the user. */
export function explained(error: unknown, where: string): unknown {
  if (error instanceof NetError) {
    return error.code === "not-found"
      ? new SshmError("unknownGateway", `no address is known for ${where}`, { cause: error })
      : new SshmError("unreachable", error.message, { cause: error });
  }
  if (!(error instanceof SshError)) return error;
  if (error.code === "auth") {
    return new SshmError("credential", `${where} accepts none of the credentials: ${error.message}`, {
      cause: error,
    });
  }
  return new SshmError("unreachable", `${where}: ${error.message}`, { cause: error });
}

async function readKnownHosts(
  { files, environment }: SshmHost,
  flags: GlobalFlags,
): Promise<{ paths: readonly string[]; hosts: KnownHosts }> {
  const named = flags.knownHosts.length > 0;
  const paths = (named ? flags.knownHosts : USUAL_KNOWN_HOSTS)
    .map((path) => expandHome(path, environment("HOME") ?? "/"));
  const found: (TextFile | undefined)[] = [];
  for (const path of paths) {
    found.push(named ? await requireText(files, path, "known hosts") : await openTextIfThere(files, path));
  }
  return { paths, hosts: parseKnownHosts(found.map((file) => file?.text ?? "").join("\n")) };
}

function refuseState(): never {
  throw new StateError("failed", "sshm keeps nothing between its runs");
}

/** Beside known hosts, which are always given here, trust neither reads nor writes pins. */
const NO_PINS: StateFolder = {
  path: "",
  read: () => Promise.resolve(undefined),
  write: refuseState,
  openJournal: refuseState,
  close: () => {},
};
