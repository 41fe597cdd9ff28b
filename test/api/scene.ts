/** The API with an authority, an issuer and a policy that a test can look into. */
import { decodeHex } from "../../src/bytes/encoding.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { apiHandler, type ApiOptions, JoinError } from "../../src/api/mod.ts";
import type {
  CertificateAuthority,
  HostCertificateRequest,
  RevocationRecord,
  Revoked,
  UserCertificateRequest,
  X509CertificateRequest,
} from "../../src/ca/types.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { authorize, emptyPolicy, parsePolicy, policyGroupsOf } from "../../src/identity/policy/mod.ts";
import { type Identity, IdentityError } from "../../src/identity/principal.ts";
import { TokenError } from "../../src/identity/token/types.ts";
import { formatKnownHost } from "../../src/keys/known_hosts.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { WebExchange } from "../../src/platform/web.ts";
import { Audit } from "../../src/telemetry/audit.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** RFC 8032 §7.1, test 1 and 2. */
export const USER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
export const HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4laknEuQ0M6eppawRf3EntMpvT9Gg5TfEZs";

export const CSR = btoa("a certificate request, as far as this authority is concerned");
export const CERTIFICATE_LINE = "ssh-ed25519-cert-v01@openssh.com AAAA";

const POLICY = `
groups:
  sre: { email: ann@mycorp.com }
rules:
  - { name: operators, who: { email: root@mycorp.com }, may: [admin] }
  - { name: gateways, who: { name: gw1.mesh.example }, may: [assert] }
  - { name: own names, who: authenticated, may: [cert-host], what: { node: "web.mesh.example" } }
  - { name: none from here, who: { email: mallory@mycorp.com }, deny: true }
`;

export function identity(changes: Partial<Identity> = {}): Identity {
  return {
    kind: "jwt",
    issuer: "https://id.mycorp.com",
    subject: "ann",
    name: "ann@mycorp.com",
    email: "ann@mycorp.com",
    groups: [],
    claims: {},
    owner: false,
    restrictions: {},
    credential: {},
    ...changes,
  };
}

const tokens: Readonly<Record<string, Identity>> = {
  ann: identity(),
  root: identity({ subject: "root", name: "root@mycorp.com", email: "root@mycorp.com" }),
  mallory: identity({ subject: "mallory", name: "mallory@mycorp.com", email: "mallory@mycorp.com" }),
  gone: identity({ subject: "gone", name: "gone@mycorp.com", email: "gone@mycorp.com" }),
};

/** As a client certificate would have it, with the serial number `01ab`. */
export const gateway = identity({
  kind: "x509",
  issuer: "enrolled",
  subject: "SHA256:gw1",
  name: "gw1.mesh.example",
  email: undefined,
  fqdn: "gw1.mesh.example",
  // The key is HOST_KEY.
  credential: { serial: "01ab", fingerprint: await parsePublicKeyLine(HOST_KEY).key.fingerprint() },
});

export class FakeAuthority implements CertificateAuthority {
  readonly users: UserCertificateRequest[] = [];
  readonly hosts: HostCertificateRequest[] = [];
  readonly x509: X509CertificateRequest[] = [];
  readonly records: RevocationRecord[] = [];
  readonly rotations: (readonly [string, number | undefined])[] = [];
  /** Issuer, subject, who, why. */
  readonly withdrawn: (readonly [string, string, string, string | undefined])[] = [];
  error?: Error;
  #revoked = this.#now();

  async authorities() {
    const [{ key: user }, { key: host }] = [parsePublicKeyLine(USER_KEY), parsePublicKeyLine(HOST_KEY)];
    return await Promise.resolve({ user: [user], host: [host], x509: ["PEM of the root\n"] });
  }
  issueUser(request: UserCertificateRequest) {
    this.users.push(request);
    return this.#ssh();
  }
  issueHost(request: HostCertificateRequest) {
    this.hosts.push(request);
    return this.#ssh();
  }
  issueX509(request: X509CertificateRequest) {
    this.x509.push(request);
    if (this.error) return Promise.reject(this.error);
    const expiresAt = Date.parse("2026-08-02T12:00:00Z");
    return Promise.resolve({ certificate: "PEM\n", chain: ["PEM of the root\n"], serial: "0c", expiresAt });
  }
  withdraw(...[{ issuer, subject }, by, reason]: Parameters<CertificateAuthority["withdraw"]>) {
    if (this.error) return Promise.reject(this.error);
    this.withdrawn.push([issuer, subject, by.name, reason]);
    return Promise.resolve();
  }
  revoked() {
    return Promise.resolve(this.#revoked);
  }
  revoke(...[revocation, by, reason]: Parameters<CertificateAuthority["revoke"]>) {
    if (this.error) return Promise.reject(this.error);
    this.records.push({
      revocation,
      by: by.name,
      at: Date.parse("2026-08-01T12:00:00Z"),
      ...(reason && { reason }),
    });
    this.#revoked = this.#now();
    for (const listener of this.#listeners) listener();
    return Promise.resolve();
  }
  readonly #listeners = new Set<() => void>();
  watch(listener: () => void) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #ssh() {
    if (this.error) return Promise.reject(this.error);
    return Promise.resolve({ certificate: {} as Certificate, line: CERTIFICATE_LINE });
  }

  #now(): Revoked {
    const revocations = this.records.map(({ revocation }) => revocation);
    const keyIds = revocations.flatMap((revocation) =>
      revocation.kind === "key-id" ? [revocation.keyId] : []
    );
    return {
      krl: {
        version: BigInt(revocations.length),
        generated: 0n,
        comment: "",
        certificates: [{ serials: [], keyIds }],
        keys: revocations.flatMap((one) =>
          one.kind === "key" && one.key === HOST_KEY ? [parsePublicKeyLine(HOST_KEY).key.blob] : []
        ),
        sha1: [],
        sha256: [],
      },
      x509Serials: new Set(revocations.flatMap((one) => one.kind === "x509-serial" ? [one.serial] : [])),
      isIdentityRevoked: ({ issuer, subject }) =>
        revocations.some((one) =>
          one.kind === "identity" && one.issuer === issuer && one.subject === subject
        ),
    };
  }
}

export const JOIN_TOKEN = "sshm1.good";

export interface Scene {
  readonly authority: FakeAuthority;
  readonly options: ApiOptions;
  readonly clock: FakeClock;
  readonly audit: Record<string, unknown>[];
  readonly failures: unknown[];
  /** Full names that everybody holds. */
  readonly held: string[];
  handle(exchange: WebExchange): Promise<Response>;
  /** Sends a request. @param as a token's name, or `certificate` */
  send(line: string, options?: SendOptions): Promise<Response>;
}

export interface SendOptions {
  readonly as?: string;
  readonly certificate?: boolean;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly url?: string;
}

export function scene(changes: Partial<ApiOptions> = {}): Scene {
  const clock = new FakeClock();
  const authority = new FakeAuthority();
  const audit: Record<string, unknown>[] = [];
  const failures: unknown[] = [];
  const held = ["web.mesh.example", "db.mesh.example"];
  const policy = parsePolicy(POLICY, { owners: emptyPolicy.owners });
  const joinTokens = new Map([["1", {
    id: "1",
    name: "gw1.mesh.example",
    by: "root",
    createdAt: 0,
    expiresAt: clock.now() + 3_600_000,
  }]]);
  const options: ApiOptions = {
    clock,
    isOwnHost: (name) => name === "ca.mesh.example",
    domain: "mesh.example",
    authority,
    passesOn: false,
    revocations: () => Promise.resolve(authority.records),
    async knownHosts() {
      const { host } = await authority.authorities();
      return [await formatKnownHost("*.mesh.example", host[0], { marker: "cert-authority" })];
    },
    tokens: {
      trustDomains: [],
      getKeys: () => Promise.resolve(),
      verify(token) {
        const identity = tokens[token];
        if (identity) return Promise.resolve({ identity });
        const code = token === "old" ? "expired" : "signature";
        return Promise.reject(
          new TokenError(code, "it is wrong", { issuer: "https://id.mycorp.com", subject: "eve" }),
        );
      },
    },
    clientIdentity([leaf]) {
      if (leaf.length === 1) return gateway;
      throw new IdentityError("no-name", "it names nobody");
    },
    rotate(kind, { overlap } = {}) {
      if (authority.error) return Promise.reject(authority.error);
      authority.rotations.push([kind, overlap]);
      return Promise.resolve();
    },
    judge: (...question) => authorize(policy, ...question),
    groupsOf: (identity) => policyGroupsOf(policy, identity),
    namesOf: () => Promise.resolve(held),
    joinTokens: {
      create({ name }) {
        if (name === "taken") return Promise.reject(new JoinError("name", "the name is taken"));
        return Promise.resolve({
          id: "2",
          name: `${name}.mesh.example`,
          by: "root",
          createdAt: 0,
          expiresAt: clock.now(),
          token: JOIN_TOKEN,
        });
      },
      list: () =>
        Promise.resolve([...joinTokens.values(), {
          id: "0",
          name: "old",
          by: "root",
          createdAt: 0,
          expiresAt: 0,
          usedAt: 0,
        }]),
      remove: (id) => Promise.resolve(joinTokens.delete(id)),
    },
    joining: {
      isJoinToken: (token) => token.startsWith("sshm1."),
      async join(token, csr, remote) {
        if (token !== JOIN_TOKEN) throw new JoinError("token", "the join token is unknown or used");
        return {
          identity: gateway,
          issued: await authority.issueX509({ identity: gateway, csr, names: [], remote }),
        };
      },
      renewalOf: (identity) =>
        Promise.resolve(identity.issuer === "enrolled" ? { ...identity, kind: "key" as const } : undefined),
    },
    audit: new Audit({ clock, write: (line) => audit.push(JSON.parse(line)) }),
    onFailure: (error) => failures.push(error),
    ...changes,
  };
  const handle = apiHandler(options);
  return {
    authority,
    options,
    clock,
    audit,
    failures,
    held,
    handle,
    send(line, { as, certificate, body, headers, url = "https://ca.mesh.example:15443" } = {}) {
      const [method, path] = line.split(" ");
      const request = new Request(url + path, {
        method,
        headers: {
          ...(as && { authorization: `Bearer ${as}` }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      return handle({
        request,
        remote: { transport: "tcp", hostname: "192.0.2.7", port: 40100 },
        ...(certificate && { clientCertificates: [decodeHex("00")] }),
      });
    },
  };
}

/** One that names nobody. */
export const NOBODYS_CERTIFICATE = encodeText("no name");
