/** Offers this gateway's names to one that it has joined, and keeps the offer true. */
import { matchesPattern } from "../../keys/patterns.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Connection } from "../../ssh/connection/types.ts";
import type { Lease, Registry } from "../../routing/registry.ts";
import { logger } from "../../telemetry/log.ts";
import { encodeExport, encodeUnexport, type Export, GatewayMessage, MAX_HOPS } from "./messages.ts";
import type { MeshSelf } from "./self.ts";

/** Changes are collected this long, in milliseconds: a hundred agents that come at once are one round. */
const SETTLE = 20;
/** What was refused is offered again after this, in milliseconds: who had the name may have gone. */
const RETRY = 30_000;

export interface ExportOptions {
  readonly connection: Connection;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly self: MeshSelf;
  /** The gateway at the other end, where it is known: names that come from there are not offered back. */
  readonly domain: string;
  /** Patterns of full names; undefined: all. */
  readonly patterns?: readonly string[];
}

export class Exports {
  readonly #options: ExportOptions;
  /** What stands at the other end, by name and port, with what it was offered as. */
  readonly #offered = new Map<string, { readonly offer: Export; readonly text: string }>();
  readonly #refused = new Set<string>();
  readonly #log = logger("gateway");
  #cancel = () => {};
  #stopWatching = () => {};
  #round: Promise<void> = Promise.resolve();
  #withdrawn = false;
  #stopped = false;

  constructor(options: ExportOptions) {
    this.#options = options;
  }

  /** Offers what there is, then what changes, until the connection ends. Resolves after the first offer. */
  start(): Promise<void> {
    const { registry, connection } = this.#options;
    this.#stopWatching = registry.watch(() => this.#schedule(SETTLE));
    connection.closed.then(() => this.stop());
    return this.#sync();
  }

  /** Names that the other gateway has taken. */
  get names(): string[] {
    return [...this.#offered.keys()];
  }

  /** Takes everything back: nothing new shall come through the other gateway. */
  withdraw(): Promise<void> {
    this.#withdrawn = true;
    return this.#sync();
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWatching();
    this.#cancel();
  }

  #schedule(delay: number): void {
    if (this.#stopped) return;
    this.#cancel();
    this.#cancel = this.#options.clock.after(delay, () => void this.#sync());
  }

  /** One round at a time: each looks at the registry anew. */
  #sync(): Promise<void> {
    return this.#round = this.#round.then(() => this.#syncNow()).catch(() => {
      // The connection has ended, and with it everything that was offered on it.
    });
  }

  async #syncNow(): Promise<void> {
    if (this.#stopped) return;
    const wanted = await this.#wanted();
    for (const [key, { offer }] of this.#offered) {
      if (wanted.has(key)) continue;
      this.#offered.delete(key);
      await this.#options.connection.request(GatewayMessage.unexport, encodeUnexport(offer), true);
    }
    for (const [key, offer] of wanted) {
      const text = JSON.stringify(offer);
      if (this.#offered.get(key)?.text !== text) await this.#offer(key, offer, text);
    }
    for (const key of this.#refused) if (!wanted.has(key)) this.#refused.delete(key);
    if (this.#refused.size > 0) this.#schedule(RETRY);
  }

  async #offer(key: string, offer: Export, text: string): Promise<void> {
    const granted = await this.#options.connection.request(GatewayMessage.export, encodeExport(offer), true);
    if (granted !== false) {
      this.#offered.set(key, { offer, text });
      this.#refused.delete(key);
    } else if (!this.#refused.has(key)) {
      this.#refused.add(key);
      this.#log.warn("{name}:{port} is not taken by the gateway that was joined", {
        name: offer.name,
        port: offer.port,
      });
    }
  }

  async #wanted(): Promise<Map<string, Export>> {
    const { registry, self, domain } = this.#options;
    const wanted = new Map<string, Export>();
    if (this.#withdrawn) return wanted;
    const add = (offer: Export) => {
      const key = `${offer.name}:${offer.port}`;
      const other = wanted.get(key);
      // Of several instances the one that is nearest.
      if (!other || offer.path.length < other.path.length) wanted.set(key, offer);
    };
    // `localhost` is everybody's name for itself.
    if (domain !== "localhost" && this.#isExported(domain)) {
      add({ name: domain, port: 22, published: false, path: [self.id] });
    }
    for (const lease of await registry.list()) for (const offer of this.#offersOf(lease)) add(offer);
    return wanted;
  }

  #offersOf(lease: Lease): Export[] {
    const { self } = this.#options;
    const path = [self.id, ...self.paths.of(lease)];
    if (path.length >= MAX_HOPS || !this.#isExported(lease.name)) return [];
    return lease.endpoints.map(({ port, published }) => ({ name: lease.name, port, published, path }));
  }

  #isExported(name: string): boolean {
    const { patterns } = this.#options;
    return !patterns || patterns.some((pattern) => matchesPattern(name, pattern.toLowerCase()));
  }
}
