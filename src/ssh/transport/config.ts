/** What a transport is told. */
import type { Signer } from "../../keys/types.ts";
import type { Clock } from "../../platform/clock.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import type { AlgorithmLists } from "../algorithms/lists.ts";
import type { HostKeyVerifier } from "./host_key.ts";

/** When keys are renewed. */
export interface RekeyLimit {
  /** Bytes in either direction. */
  readonly bytes: number;
  readonly ms: number;
}

/** What both sides are told. */
export interface CommonTransportConfig {
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly algorithms: AlgorithmLists;
  /** Identification without line ending: `SSH-2.0-name_1.0`. */
  readonly identification: string;
  readonly rekey: RekeyLimit;
}

export interface ServerTransportConfig extends CommonTransportConfig {
  readonly role: "server";
  /** Asked at every key exchange: certificates are renewed while connections live. */
  hostKeys(): readonly Signer[];
  /** `server-sig-algs` */
  readonly signatureAlgorithms: readonly string[];
}

export interface ClientTransportConfig extends CommonTransportConfig {
  readonly role: "client";
  readonly verifyHostKey: HostKeyVerifier;
}

/** How one end speaks the transport protocol. */
export type TransportConfig = ServerTransportConfig | ClientTransportConfig;
