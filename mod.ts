/**
 * The SSH library of ssh-mesh: client and server over any pair of web streams, keys, certificates, SFTP.
 *
 * Nothing in here belongs to one runtime. What a runtime has to give (sockets, processes, files, symmetric
 * cryptography) comes in through the interfaces of `src/platform`; `src/deno` implements them for Deno, and
 * `src/deno/crypto_node.ts` for Node as well.
 *
 * @module
 */
export type { Bytes } from "./src/bytes/bytes.ts";
export { type Duplex, plain, type PlainDuplex } from "./src/streams/duplex.ts";
export { duplexPair } from "./src/streams/pair.ts";
export { relay, type RelayOptions, type RelayResult } from "./src/streams/relay.ts";

// What a runtime gives.
export { type Clock, systemClock } from "./src/platform/clock.ts";
export type { CryptoProvider } from "./src/platform/crypto.ts";
export {
  type Address,
  type Net,
  type NetConnection,
  NetError,
  type NetListener,
} from "./src/platform/net.ts";
export type { Child, Command, ExitStatus, Processes, TerminalChild } from "./src/platform/process.ts";

// Keys and certificates.
export { KeyError, type KeyType, type PublicKey, type Signer } from "./src/keys/types.ts";
export { decodePublicKey, formatPublicKey, parsePublicKeyLine } from "./src/keys/public_key.ts";
export {
  formatPrivateKey,
  generatePrivateKey,
  parsePrivateKey,
  type PrivateKey,
} from "./src/keys/private_key.ts";
export * from "./src/keys/authorized_keys.ts";
export * from "./src/keys/known_hosts.ts";
export * from "./src/keys/agent_client.ts";
export type { Certificate, CertificateFault } from "./src/cert/types.ts";
export * from "./src/cert/certificate.ts";
export * from "./src/cert/check.ts";
export * from "./src/cert/krl.ts";

// Connections.
export { type ClientConnection, type ClientOptions, connectSsh } from "./src/ssh/client.ts";
export { acceptSsh, type ServerConnection, type ServerOptions } from "./src/ssh/server.ts";
export { SshConnection, type SshOptions } from "./src/ssh/establish.ts";
export * from "./src/ssh/error.ts";
export * from "./src/ssh/algorithms/lists.ts";
export type { HostKeyVerifier, ProvenHostKey } from "./src/ssh/transport/host_key.ts";
export type { ClientAuth, Credential } from "./src/ssh/auth/client/types.ts";
export type { Authenticated, ServerAuth, Verdict } from "./src/ssh/auth/server/types.ts";
export type { Channel, Connection, GlobalRequest, IncomingChannel } from "./src/ssh/connection/types.ts";
export { Router } from "./src/ssh/connection/router.ts";

// What runs over connections.
export * from "./src/ssh/forward/outgoing.ts";
export * from "./src/ssh/forward/incoming.ts";
export * from "./src/ssh/session/client.ts";
export * from "./src/ssh/session/server.ts";
export type { Program, Service } from "./src/ssh/session/program.ts";
export { openSftp, type SftpClient } from "./src/ssh/sftp/client.ts";
export { serveSftp, type SftpServerOptions } from "./src/ssh/sftp/server.ts";
