/** One authenticated connection: a user, a node, or both. */
import type { DecisionContext } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import type { Restrictions } from "../keys/restrictions.ts";
import { encodeRefused, MeshRequest } from "../mesh/requests.ts";
import type { Clock } from "../platform/clock.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";
import { type Bytes, EMPTY } from "../bytes/bytes.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { ServerConnection } from "../ssh/server.ts";
import type { AuditContext } from "../telemetry/audit.ts";
import { askForLife } from "./keepalive.ts";
import type { Login } from "./login.ts";
import type { Requester } from "./requester.ts";

export class Client implements Requester {
  readonly connection: ServerConnection<Login>;
  /** Running number, for logs. */
  readonly id: number;
  readonly remote: TcpAddress;
  /** Milliseconds since 1970, of the login. */
  readonly since: number;
  /** Of an agent of ours: new for each of its starts. */
  instance?: string;
  /** Asked that nothing of it be published. */
  private = false;
  /** The client is another gateway: its id. */
  gateway?: string;
  /** A client comes from no other gateway; what does says so for each channel. */
  readonly hops: readonly string[] = [];
  readonly #clock: Clock;
  readonly #life = new AbortController();
  #login: Login;

  constructor(id: number, connection: ServerConnection<Login>, remote: TcpAddress, clock: Clock) {
    this.id = id;
    this.connection = connection;
    this.remote = remote;
    this.since = clock.now();
    this.#clock = clock;
    this.#login = connection.authenticated.identity;
    connection.closed.then((error) => this.#life.abort(error ?? new Error("the client has gone")));
  }

  get login(): Login {
    return this.#login;
  }

  /** As the keyring, read anew, sees the same proof. */
  set login(login: Login) {
    this.#login = login;
  }

  /** By which it was let in, as records call it: `publickey`, `password`. */
  get method(): string {
    return this.connection.authenticated.methods.at(-1)!.method;
  }

  get identity(): Identity {
    return this.#login.identity;
  }

  get restrictions(): Restrictions {
    return this.#login.restrictions;
  }

  /** `10.0.0.7:40100` */
  get description(): string {
    return formatAddress(this.remote);
  }

  /** What records call this connection. */
  get name(): string {
    return `c${this.id}`;
  }

  get auditContext(): AuditContext {
    return { actor: this.identity, remote: this.description, connection: this.name };
  }

  /** Aborts when the connection has ended. */
  get ended(): AbortSignal {
    return this.#life.signal;
  }

  /** What the policy needs to know about the moment. @param open what is judged is open already */
  context(open = false): DecisionContext {
    return { now: this.#clock.now(), sourceAddress: this.remote.hostname, ...(open && { open }) };
  }

  /** Asks for a sign of life. */
  probe(): Promise<void> {
    return askForLife(this.connection);
  }

  /** Says why a forward is refused or has been withdrawn. */
  explain(asked: HostPort, sentence: string): void {
    if (this.instance !== undefined) {
      this.#tell(MeshRequest.refused, encodeRefused(asked, sentence));
    } else {
      // A reply to a forward request carries no text; `ssh -v` shows this (RFC 4253 §11.3).
      const text = `forward ${asked.host}:${asked.port} refused: ${sentence}`;
      this.connection.debug(text);
    }
  }

  /** Tells an agent of ours to go elsewhere. */
  drain(): void {
    if (this.instance !== undefined) this.#tell(MeshRequest.drain, EMPTY);
  }

  /** Tells an agent of ours that whose certificates count, or what was revoked, is no longer what it was. */
  announceTrust(): void {
    if (this.instance !== undefined) this.#tell(MeshRequest.trust, EMPTY);
  }

  /** Disconnects with a sentence. Idempotent. */
  close(sentence: string): void {
    this.connection.close(undefined, sentence);
  }

  #tell(name: string, data: Bytes): void {
    this.connection.request(name, data, false).catch(() => {});
  }
}
