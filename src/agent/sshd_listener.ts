/** Listening as sshd does: ListenAddress, Port, MaxStartups, PerSourceMaxStartups, PidFile. */
import { encodeText } from "../bytes/bytes.ts";
import type { Files } from "../platform/files.ts";
import { formatAddress, type NetConnection, NetError, type NetListener, unmapped } from "../platform/net.ts";
import type { AgentHost } from "./host.ts";
import type { BuiltInServer, Peer } from "./built_in_server.ts";
import { AgentError } from "./exit_codes.ts";
import type { SshdConfig } from "./sshd_config/evaluate.ts";
import { dropsStartup, sourceOf } from "./sshd_settings.ts";

export interface ListenerHost extends AgentHost {
  /** PidFile is written. */
  readonly files: Files;
}

/** Accepts connections for `server` until closed. */
export class SshdListener {
  readonly #listeners: readonly NetListener[];
  readonly #server: BuiltInServer;
  readonly #config: SshdConfig;
  readonly #host: ListenerHost;
  readonly #life = new AbortController();
  readonly #open = new Set<Promise<unknown>>();
  #waiting = 0;
  /** How many of them come from one source. */
  readonly #waitingFrom = new Map<string, number>();

  private constructor(
    listeners: readonly NetListener[],
    server: BuiltInServer,
    config: SshdConfig,
    host: ListenerHost,
  ) {
    this.#listeners = listeners;
    this.#server = server;
    this.#config = config;
    this.#host = host;
  }

  /** @throws {AgentError} `address` when there is none to listen on */
  static async listen(config: SshdConfig, server: BuiltInServer, host: ListenerHost): Promise<SshdListener> {
    const listeners: NetListener[] = [];
    let failure: NetError | undefined;
    for (const { host: hostname, port } of config.listen) {
      try {
        listeners.push(await host.net.listen({ transport: "tcp", hostname, port }));
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        // `::` accepts for IPv4 too on most systems: then 0.0.0.0 is taken, by ourselves.
        failure ??= error;
      }
    }
    if (listeners.length === 0) throw new AgentError("address", failure!.message, { cause: failure });
    return new SshdListener(listeners, server, config, host);
  }

  /** Accepts until {@link close} or {@link drain}. @param pid written to PidFile */
  async run(pid: number): Promise<void> {
    await this.#writePid(pid);
    const listen = this.#listeners.map(({ address }) => formatAddress(address));
    this.#host.log({ event: "ready", listen });
    await Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
    await Promise.all(this.#open);
    if (this.#config.pidFile !== null) await this.#host.files.unlink(this.#config.pidFile).catch(() => {});
  }

  /** Accepts nothing more; what is open goes on. */
  drain(): void {
    for (const listener of this.#listeners) listener.close();
  }

  /** Ends everything at once. */
  close(): void {
    this.drain();
    this.#life.abort(new Error("the server stops"));
  }

  async #accept(listener: NetListener): Promise<void> {
    for await (const connection of listener) {
      const peer = peerOf(connection);
      if (this.#drops(peer)) {
        connection.close();
        continue;
      }
      const served = this.#serve(connection, peer).finally(() => this.#open.delete(served));
      this.#open.add(served);
    }
  }

  #drops({ address }: Peer): boolean {
    const { maxStartups, perSourceMaxStartups, perSourceNetBlockSize } = this.#config;
    if (dropsStartup(maxStartups, this.#waiting, this.#host.random)) return true;
    if (perSourceMaxStartups === null) return false;
    const waiting = this.#waitingFrom.get(sourceOf(address, perSourceNetBlockSize)) ?? 0;
    return waiting >= perSourceMaxStartups;
  }

  async #serve(connection: NetConnection, peer: Peer): Promise<void> {
    const source = sourceOf(peer.address, this.#config.perSourceNetBlockSize);
    this.#waiting++;
    this.#waitingFrom.set(source, (this.#waitingFrom.get(source) ?? 0) + 1);
    let waits = true;
    const authenticated = () => {
      if (!waits) return;
      waits = false;
      this.#waiting--;
      const left = this.#waitingFrom.get(source)! - 1;
      if (left > 0) this.#waitingFrom.set(source, left);
      else this.#waitingFrom.delete(source);
    };
    await this.#server.serve(connection, peer, { signal: this.#life.signal, authenticated });
    authenticated();
  }

  async #writePid(pid: number): Promise<void> {
    const { pidFile } = this.#config;
    if (pidFile === null) return;
    const { files, log } = this.#host;
    try {
      const file = await files.open(pidFile, { write: true, create: true, truncate: true, mode: 0o644 });
      await file.write(encodeText(`${pid}\n`), 0).finally(() => file.close());
    } catch (error) {
      log({ event: "warning", message: `PidFile ${pidFile} cannot be written: ${(error as Error).message}` });
    }
  }
}

function peerOf({ remote, local }: NetConnection): Peer {
  const end = (address: NetConnection["remote"]) =>
    address.transport === "tcp"
      ? { address: unmapped(address.hostname), port: address.port }
      : { address: "", port: 0 };
  return { ...end(remote), local: end(local) };
}
