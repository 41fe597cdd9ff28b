/** The other gateways that this one is told to join, and stays with. */
import type { PrivateKey } from "../../keys/private_key.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import type { Files } from "../../platform/files.ts";
import type { StateFolder } from "../../platform/state.ts";
import type { GatewayConfig } from "../config.ts";
import { readPrivateKey } from "../host_keys.ts";
import type { GatewayParts } from "../parts.ts";
import { readNamed } from "../text_file.ts";
import { JoinedGatewayTrust } from "./gateway_trust.ts";
import { Join } from "./join.ts";

export interface JoinsOptions {
  readonly config: Pick<GatewayConfig, "connect" | "knownHosts" | "identity" | "exports">;
  readonly parts: GatewayParts;
  readonly files: Files;
  /** Remembers the host keys of gateways that were believed on first use. */
  readonly state: StateFolder;
  readonly crypto: CryptoProvider;
  /** To authenticate with, where the configuration names no key. */
  readonly hostKeys: readonly PrivateKey[];
}

export class Joins {
  readonly #joins: readonly Join[];

  private constructor(joins: readonly Join[]) {
    this.#joins = joins;
  }

  /** Begins with all of them. @throws {StartError} `files` when the files for that cannot be used */
  static async begin({ config, parts, files, state, crypto, hostKeys }: JoinsOptions): Promise<Joins> {
    if (config.connect.length === 0) return new Joins([]);
    const { knownHosts, identity, exports } = config;
    const text = knownHosts === undefined ? undefined : await readNamed(files, knownHosts);
    const trust = new JoinedGatewayTrust(text, state, parts.clock);
    const signers = identity === undefined ? hostKeys : [await readPrivateKey(files, identity)];
    const instance = globalThis.crypto.randomUUID();
    const { random } = Math;
    return new Joins(
      config.connect.map((address) =>
        new Join({ address, parts, crypto, trust, signers, instance, exports, random })
      ),
    );
  }

  /** Takes back the names that were offered; what is open through the others goes on. */
  withdraw(): void {
    for (const join of this.#joins) void join.withdraw();
  }

  /** Leaves all of them. Resolves when nothing is left. */
  async stop(): Promise<void> {
    await Promise.all(this.#joins.map((join) => join.stop()));
  }
}
