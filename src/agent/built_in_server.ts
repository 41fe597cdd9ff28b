/** The built-in SSH server: one connection at a time, from any Duplex, under any policy. */
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { AlgorithmLists } from "../ssh/algorithms/lists.ts";
import type { ServerAuth } from "../ssh/auth/server/types.ts";
import { announceHostKeys } from "../ssh/connection/host_key_rotation.ts";
import { Router } from "../ssh/connection/router.ts";
import type { RekeyLimit } from "../ssh/transport/config.ts";
import { ChannelOpenReason, DisconnectReason, SshError } from "../ssh/error.ts";
import { serveForwarding } from "../ssh/forward/incoming.ts";
import { acceptSsh, type ServerConnection } from "../ssh/server.ts";
import { serveSession } from "../ssh/session/server.ts";
import { type Duplex, plain } from "../streams/duplex.ts";
import type { SessionEndpoints } from "./environment.ts";
import type { EventLog } from "./events.ts";
import { type BuiltinPrograms, sessionHandlers, type SessionHost, type SessionPolicy } from "./exec.ts";
import { type ForwardHost, forwardPolicy, type ForwardRights } from "./forwarding.ts";
import { type KeepaliveTimes, keepConnectionAlive } from "./keepalive.ts";
import type { Account } from "./login.ts";
import { processesAs } from "./other_account.ts";

/** Where a connection came from. */
export interface Peer {
  /** IP address, as far as it is known. */
  readonly address: string;
  readonly port: number;
  /** This side's end, where there is TCP underneath. */
  readonly local?: { readonly address: string; readonly port: number };
}

/** Somebody who logged in, and what they may do. */
export interface Login {
  readonly account: Account;
  /** For the log: which key or certificate. */
  readonly credential: string;
  readonly session: SessionPolicy;
  readonly forwarding: ForwardRights;
  /** Sessions open at once on one connection. */
  readonly maxSessions: number;
  /** Asks the client whether it is there; undefined: never. */
  readonly alive?: KeepaliveTimes;
  /**
   * Says why the credential would not be let in any more, its expiry apart: that ends only what is new. Undefined while
   * it would.
   */
  judgeAnew?(): Promise<string | undefined>;
  /** Whether `account` is not the agent's own: programs then run as that one, and none is built in. */
  readonly other?: boolean;
}

/** What a server does about one connection. */
export interface ConnectionPolicy {
  readonly hostKeys: readonly Signer[];
  readonly auth: Omit<ServerAuth<Login>, "onAttempt">;
  readonly algorithms?: AlgorithmLists;
  readonly rekey?: Partial<RekeyLimit>;
  /** Milliseconds. */
  readonly loginGraceMs: number;
}

/** Decides for each connection anew: files may have changed. */
export type ServerPolicy = (peer: Peer) => ConnectionPolicy | Promise<ConnectionPolicy>;

export interface BuiltInServerOptions {
  readonly policy: ServerPolicy;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly sessions: SessionHost;
  readonly forwards: ForwardHost;
  readonly builtins: BuiltinPrograms;
  /** What sessions inherit of the agent's environment. */
  readonly inherited: Readonly<Record<string, string>>;
  readonly log: EventLog;
}

interface OpenLogin {
  readonly ssh: ServerConnection<Login>;
  readonly from: string;
}

/** How one connection went. */
export type ServedConnection = "authenticated" | "refused";

export class BuiltInServer {
  readonly #options: BuiltInServerOptions;
  /** Who is logged in. */
  readonly #open = new Set<OpenLogin>();
  /** Counts {@link judgeAnew}: a login that was decided before and is entered after it must not slip through. */
  #judged = 0;

  constructor(options: BuiltInServerOptions) {
    this.#options = options;
  }

  /**
   * Serves one connection to its end. Never rejects: what goes wrong is logged, and the client was told.
   * @param options.signal ends it
   * @param options.authenticated called when the client is in
   */
  async serve(
    duplex: Duplex,
    peer: Peer,
    options: { readonly signal?: AbortSignal; readonly authenticated?: () => void } = {},
  ): Promise<ServedConnection> {
    const { signal, authenticated } = options;
    const connection = plain(duplex);
    const { crypto, clock, log, policy } = this.#options;
    const from = peer.address;
    /** The name and the reason of the last refusal: what an authentication that failed is logged with. */
    let refused: { user: string; reason?: string } | undefined;
    const judged = this.#judged;
    try {
      const { auth, ...settings } = await policy(peer);
      const ssh = await acceptSsh<Login>(connection, {
        ...settings,
        crypto,
        clock,
        signal,
        auth: {
          ...auth,
          onAttempt: ({ user, result, reason, method }) => {
            if (result === "refused" && method !== "none") refused = { user, reason };
          },
        },
        prepare: (ssh) => this.#serveChannels(ssh, peer, settings.hostKeys),
      });
      const { user, identity: { credential } } = ssh.authenticated;
      authenticated?.();
      log({ event: "login", user, from, result: "accepted", credential });
      const entry = { ssh, from };
      this.#open.add(entry);
      if (judged !== this.#judged) this.#judge(entry);
      await ssh.closed.finally(() => this.#open.delete(entry));
      return "authenticated";
    } catch (error) {
      const reason = refused?.reason ?? (error instanceof Error ? error.message : String(error));
      if (refused) log({ event: "login", user: refused.user, from, result: "refused", reason });
      // Scanners and health checks end here: they are no news.
      else if (!(error instanceof SshError)) {
        log({ event: "warning", message: `connection from ${from}: ${reason}` });
      }
      connection.close(error);
      return "refused";
    }
  }

  /** Ends the logins whose credential was taken back: to be called when something was. Never rejects. */
  async judgeAnew(): Promise<void> {
    this.#judged++;
    await Promise.all([...this.#open].map((login) => this.#judge(login)));
  }

  async #judge({ ssh, from }: OpenLogin): Promise<void> {
    const { log } = this.#options;
    const { user, identity } = ssh.authenticated;
    try {
      const reason = await identity.judgeAnew?.();
      if (reason === undefined) return;
      log({ event: "ended", user, from, credential: identity.credential, reason });
      ssh.close(DisconnectReason.byApplication, "your credential is not accepted any more");
    } catch (error) {
      // What cannot be judged goes on: a file that cannot be read takes nobody's login away.
      const why = error instanceof Error ? error.message : String(error);
      log({ event: "warning", message: `the login of ${user} from ${from} cannot be judged anew: ${why}` });
    }
  }

  #serveChannels(connection: ServerConnection<Login>, peer: Peer, hostKeys: readonly Signer[]): void {
    const { clock, sessions, builtins, inherited, forwards, log } = this.#options;
    const { account, session, forwarding, maxSessions, alive, other } = connection.authenticated.identity;
    const router = new Router(connection);
    const onError = (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      log({ event: "warning", message: `session of ${account.name} from ${peer.address}: ${reason}` });
    };
    const host = other ? { ...sessions, processes: processesAs(sessions.processes, account) } : sessions;
    let open = 0;
    let noMore = false;
    router.onChannel("session", async (incoming) => {
      if (noMore || open >= maxSessions) {
        return incoming.reject(ChannelOpenReason.resourceShortage, "no more sessions on this connection");
      }
      open++;
      const handlers = sessionHandlers({
        host,
        account,
        policy: session,
        builtins: other ? {} : builtins,
        connection,
        endpoints: endpointsOf(peer),
        inherited,
        onError,
      });
      try {
        await serveSession(incoming.accept(), handlers);
      } finally {
        open--;
      }
    });
    // OpenSSH PROTOCOL §2.2: the client has opened the one session that it wants.
    router.onRequest("no-more-sessions@openssh.com", () => noMore = true);
    serveForwarding(connection, router, forwardPolicy(forwarding, forwards));
    if (alive) keepConnectionAlive(connection, clock, alive);
    announceHostKeys(connection, router, {
      hostKeys: () => hostKeys,
      algorithm: connection.negotiated.hostKey,
    });
  }
}

function endpointsOf({ address, port, local }: Peer): SessionEndpoints {
  return {
    clientAddress: address,
    clientPort: port,
    // What came through a gateway has no port here: the mesh knows it as the node's SSH.
    serverAddress: local?.address ?? "127.0.0.1",
    serverPort: local?.port ?? 22,
  };
}
