/**
 * The SSH library of ssh-mesh: client and server over any pair of web streams, keys, certificates, SFTP.
 *
 * Nothing in here belongs to one runtime. What a runtime has to give (sockets, processes, files, symmetric
 * cryptography) comes in through the interfaces of `src/platform`; `src/deno` implements them for Deno, and
 * `src/deno/crypto_node.ts` for Node as well.
 *
 * A server and its client, in memory:
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { acceptSsh, connectSsh, duplexPair, generatePrivateKey, openSession, Router, serveSession } from "./mod.ts";
 * import { nodeCrypto as crypto } from "./src/deno/crypto_node.ts";
 *
 * const [hostKey, userKey] = await Promise.all([1, 2].map(() => generatePrivateKey("ssh-ed25519")));
 * const [expected, welcome] = await Promise.all([hostKey, userKey].map((key) => key.publicKey.fingerprint()));
 * const [near, far] = duplexPair(); // or a TCP connection, a WebSocket: any pair of web streams
 *
 * const serving = acceptSsh(far, {
 *   crypto,
 *   hostKeys: [hostKey],
 *   auth: {
 *     publicKey: async ({ user, key }) =>
 *       await key.fingerprint() === welcome ? { result: "accepted", identity: user } : { result: "refused" },
 *   },
 *   prepare: (connection) =>
 *     new Router(connection).onChannel("session", async (incoming) => {
 *       await serveSession(incoming.accept(), {
 *         start: () => Promise.resolve({ serve: () => Promise.resolve({ code: 7 }) }),
 *       });
 *     }),
 * });
 * const client = await connectSsh(near, {
 *   crypto,
 *   verifyHostKey: async ({ key }) => await key.fingerprint() === expected || "this is another server",
 *   auth: { user: "ann", credentials: [{ method: "publickey", signers: [userKey] }] },
 * });
 * const program = await (await openSession(client)).exec("uname -a");
 * assert.deepEqual(await program.status, { code: 7 });
 * client.close();
 * assert.equal((await serving).authenticated.identity, "ann");
 * ```
 *
 * @module
 */

// Bytes and streams.
export type { Bytes } from "./src/bytes/bytes.ts";
export { printable, printableLines } from "./src/bytes/printable.ts";
export { type Duplex, plain, type PlainDuplex } from "./src/streams/duplex.ts";
export { duplexPair } from "./src/streams/pair.ts";
export {
  relay,
  type RelayClock,
  type RelayFault,
  type RelayOptions,
  type RelayResult,
} from "./src/streams/relay.ts";

// What a runtime gives.
export { type Clock, systemClock } from "./src/platform/clock.ts";
export type { AesCtr, AesGcm, ChachaPoly, CryptoProvider, HashName, Hmac } from "./src/platform/crypto.ts";
export {
  type Accounts,
  type DirectoryHandle,
  type FileChange,
  type FileHandle,
  type Files,
  FilesError,
  type FilesErrorCode,
  type FileStat,
  type FileSystemStat,
  type OpenOptions,
} from "./src/platform/files.ts";
export {
  type Address,
  type Net,
  type NetConnection,
  NetError,
  type NetErrorCode,
  type NetListener,
  type TcpAddress,
  type UnixAddress,
} from "./src/platform/net.ts";
export {
  type Child,
  type Command,
  type ExitStatus,
  type PipeReader,
  type PipeWriter,
  type Processes,
  SpawnError,
  type Terminal,
  type TerminalChild,
  type TerminalSize,
} from "./src/platform/process.ts";

// Keys, and the files and agents they lie in.
export {
  KeyError,
  type KeyType,
  type PublicKey,
  type Signer,
  type VerifiedSignature,
} from "./src/keys/types.ts";
export {
  decodePublicKey,
  formatPublicKey,
  parsePublicKeyLine,
  type PublicKeyLine,
} from "./src/keys/public_key.ts";
export {
  formatPrivateKey,
  generatePrivateKey,
  parsePrivateKey,
  type PrivateKey,
} from "./src/keys/private_key.ts";
export { AgentClient, AgentError, type AgentIdentity } from "./src/keys/agent_client.ts";
export {
  type AskingPeer,
  type AuthorizedKey,
  type AuthorizedKeys,
  findAuthorities,
  findAuthorizedKey,
  isUnrestrictedLine,
  lineApplies,
  type LineFault,
  parseAuthorizedKeys,
} from "./src/keys/authorized_keys.ts";
export type { LineOptions } from "./src/keys/authorized_keys_options.ts";
export {
  isUnrestricted,
  mergeRestrictions,
  permitsListen,
  permitsOpen,
  type PermittedAddress,
  RESTRICTED,
  type Restrictions,
  satisfiesFido,
  UNRESTRICTED,
} from "./src/keys/restrictions.ts";
export {
  changeHostKeys,
  formatKnownHost,
  type HostKeyChange,
  hostName,
  type HostVerdict,
  type KnownHost,
  type KnownHostLineOptions,
  type KnownHosts,
  lookUpHost,
  parseKnownHosts,
  type ShownKey,
} from "./src/keys/known_hosts.ts";

// Certificates: reading, signing, checking, revoking.
export { certificateType } from "./src/keys/key_types.ts";
export type { Certificate, CertificateFault } from "./src/cert/types.ts";
export {
  type CertificateFields,
  FOREVER,
  parseCertificate,
  signCertificate,
  withCertificate,
  withoutCertificate,
} from "./src/cert/certificate.ts";
export {
  type CertificateContext,
  checkCertificate,
  DEFAULT_CA_SIGNATURE_ALGORITHMS,
} from "./src/cert/check.ts";
export { certificateRestrictions, restrictionsUnderLine, sourceAddress } from "./src/cert/options.ts";
export {
  type Krl,
  type KrlSignature,
  parseKrl,
  type RevokedCertificates,
  type SerialBitmap,
  type SerialRange,
  type SignedKrl,
  verifyKrl,
  writeKrl,
} from "./src/cert/krl.ts";
export { parseRevokedKeys, RevocationList } from "./src/cert/revocation.ts";

// Connections.
export { type ClientConnection, type ClientOptions, connectSsh } from "./src/ssh/client.ts";
export { acceptSsh, type ServerConnection, type ServerOptions } from "./src/ssh/server.ts";
export { LOGIN_GRACE_MS, SOFTWARE, type SshConnection, type SshOptions } from "./src/ssh/establish.ts";
export {
  ChannelOpenError,
  ChannelOpenReason,
  DisconnectReason,
  SshError,
  type SshErrorCode,
} from "./src/ssh/error.ts";
export {
  type AlgorithmKind,
  type AlgorithmLists,
  defaultAlgorithms,
  defaultClientAlgorithms,
  parseAlgorithmList,
  type ParsedList,
  preferHostKeys,
  supportedAlgorithms,
} from "./src/ssh/algorithms/lists.ts";
export type { Negotiated, NegotiatedDirection } from "./src/ssh/algorithms/negotiation.ts";
export type { RekeyLimit } from "./src/ssh/transport/config.ts";
export type { HostKeyVerifier, ProvenHostKey } from "./src/ssh/transport/host_key.ts";
export { AuthenticationError, type Challenge, type Prompt } from "./src/ssh/auth/types.ts";
export type {
  ClientAuth,
  ClientAuthenticated,
  Credential,
  KeyboardInteractiveCredential,
  PasswordCredential,
  PublicKeyCredential,
} from "./src/ssh/auth/client/types.ts";
export type {
  Attempt,
  Authenticated,
  AuthRequest,
  Decide,
  FidoDemand,
  KeyboardInteractiveRequest,
  PassedMethod,
  PasswordRequest,
  PublicKeyRequest,
  ServerAuth,
  Verdict,
} from "./src/ssh/auth/server/types.ts";
export type {
  Channel,
  ChannelRequest,
  ChannelRequestHandler,
  Connection,
  GlobalRequest,
  GlobalRequestHandler,
  IncomingChannel,
} from "./src/ssh/connection/types.ts";
export { type ChannelHandler, Router } from "./src/ssh/connection/router.ts";
export { keepAlive, type KeepaliveOptions } from "./src/ssh/connection/keepalive.ts";
export {
  type AnnouncedHostKeys,
  announceHostKeys,
  followHostKeys,
  type HostKeyFollowing,
  type HostKeyServing,
} from "./src/ssh/connection/host_key_rotation.ts";

// Programs and terminals.
export {
  type ClientSession,
  openSession,
  type RunningProgram,
  type SessionOptions,
} from "./src/ssh/session/client.ts";
export {
  serveSession,
  type SessionHandlers,
  type SessionSettings,
  type StartRequest,
} from "./src/ssh/session/server.ts";
export type { Program, Service } from "./src/ssh/session/program.ts";
export type { PtyRequest, WindowSize } from "./src/ssh/session/requests.ts";
export type { TerminalModes } from "./src/ssh/session/terminal_modes.ts";

// Forwarding of TCP and Unix sockets.
export type { HostPort, TcpChannel } from "./src/ssh/forward/messages.ts";
export {
  type ForwardedConnection,
  type ForwardedHandler,
  openStreamLocal,
  openTcp,
  RemoteForwards,
  type RemoteListener,
} from "./src/ssh/forward/outgoing.ts";
export {
  type Deliver,
  type ForwardPolicy,
  ForwardRefusal,
  type GrantedListener,
  serveForwarding,
} from "./src/ssh/forward/incoming.ts";

// Files.
export { openSftp, type RemoteOpenOptions, type SftpClient } from "./src/ssh/sftp/client.ts";
export type { RemoteFile, RemoteFileSystemStat, SftpLimits } from "./src/ssh/sftp/remote_file.ts";
export type { Attributes } from "./src/ssh/sftp/attributes.ts";
export type { NameEntry } from "./src/ssh/sftp/reply.ts";
export { Status as SftpStatus } from "./src/ssh/sftp/protocol.ts";
export { SftpError } from "./src/ssh/sftp/status.ts";
export type { Request as SftpRequest } from "./src/ssh/sftp/request.ts";
export { serveSftp, type SftpServerOptions } from "./src/ssh/sftp/server.ts";
