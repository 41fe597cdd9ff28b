/** Issuers of tokens: a real OpenID provider on a port of 127.0.0.1, and one like a Kubernetes API server's. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { Folder } from "./folder.ts";

/** What an account of the provider is; every member but `sub` becomes a claim of its tokens. */
export interface Account {
  readonly sub: string;
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly groups?: readonly string[];
  readonly [claim: string]: unknown;
}

export interface OidcProvider extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly issuer: string;
  /** Paths asked for, in order. */
  readonly requests: readonly string[];
  /** An ID token of somebody, for the audience (default `ssh://localhost`). */
  idToken(account: Account, audience?: string): Promise<string>;
  /** An access token of a service (RFC 9068) by its client credentials; `sub` is `service`. */
  serviceToken(audience?: string): Promise<string>;
  /** Signs with a new key from now on; the old ones are gone. */
  rotateKeys(): Promise<void>;
  /** Answers every request with 503 until it is told otherwise. */
  outage(lasting: boolean): void;
}

const AUDIENCE = "ssh://localhost";
/** Grant type of tests: whoever asks names the account. */
const DIRECT = "urn:test:direct";
const SECRET = "a secret of the tests";

/** Starts `oidc-provider`. `await using provider = await startOidcProvider()` ends it. */
export async function startOidcProvider(): Promise<OidcProvider> {
  const requests: string[] = [];
  let handler: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  let isOut = false;
  const server = createServer((request, response) => {
    requests.push(request.url!);
    if (!isOut) return handler!(request, response);
    response.writeHead(503, { "content-type": "text/plain" }).end("out of order");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const start = async () => void (handler = (await newProvider(issuer)).callback());
  await start();

  async function grant(parameters: Record<string, string>): Promise<Record<string, string>> {
    const response = await fetch(`${issuer}/token`, {
      method: "POST",
      body: new URLSearchParams(parameters),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`the provider refused: ${JSON.stringify(answer)}`);
    return answer;
  }

  return {
    issuer,
    requests,
    async idToken(account, audience = AUDIENCE) {
      const answer = await grant({
        grant_type: DIRECT,
        client_id: audience,
        client_secret: SECRET,
        account: JSON.stringify(account),
      });
      return answer.id_token;
    },
    async serviceToken(audience = AUDIENCE) {
      const answer = await grant({
        grant_type: "client_credentials",
        client_id: "service",
        client_secret: SECRET,
        resource: audience,
      });
      return answer.access_token;
    },
    rotateKeys: start,
    outage: (lasting) => void (isOut = lasting),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** As much of the provider's request context as a grant needs: the package has no types. */
interface GrantContext {
  readonly oidc: { readonly params: { readonly account: string } };
  body: unknown;
}

/** A provider with keys of its own: they are fixed for its life. */
async function newProvider(issuer: string) {
  // It speaks on the console and takes its time: only for those who want it.
  const { default: Provider } = await import("oidc-provider");
  const { jwk } = await newKey("RS256");
  const client = { client_secret: SECRET, token_endpoint_auth_method: "client_secret_post" as const };
  const people = (client_id: string) => ({
    ...client,
    client_id,
    grant_types: [DIRECT],
    redirect_uris: [],
    response_types: [],
  });
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    ttl: { IdToken: 3600, ClientCredentials: 3600 },
    cookies: { keys: [crypto.randomUUID()] },
    clients: [
      people(AUDIENCE),
      people("ssh://elsewhere"),
      {
        ...client,
        client_id: "service",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, audience: string) => ({
          audience,
          scope: "",
          accessTokenFormat: "jwt",
        }),
      },
    },
  });
  provider.registerGrantType(DIRECT, async (context: GrantContext) => {
    const account = JSON.parse(context.oidc.params.account) as Account;
    const token = new provider.IdToken(account, { ctx: context });
    token.scope = "openid";
    for (const [claim, value] of Object.entries(account)) token.set(claim, value);
    context.body = { id_token: await token.issue({ use: "idtoken" }) };
  }, ["account"]);
  return provider;
}

/** A key pair; `jwk` is private, `publicJwk` for key sets. */
export async function newKey(alg: string, kid: string = crypto.randomUUID()) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const named = { kid, alg, use: "sig" };
  const jwk: JWK = { ...await exportJWK(privateKey), ...named };
  const publicJwk: JWK = { ...await exportJWK(publicKey), ...named };
  return { alg, kid, privateKey, jwk, publicJwk };
}

export interface PodToken {
  readonly namespace: string;
  readonly account: string;
  /** Default `ssh://localhost`. */
  readonly audience?: string;
  /** Seconds; default an hour. */
  readonly lifetime?: number;
  /** Milliseconds since 1970; default now. */
  readonly issuedAt?: number;
}

export interface KubernetesLikeIssuer {
  /** `https://kubernetes.default.svc.cluster.local`; nobody answers there. */
  readonly issuer: string;
  /** Path of the file with its keys. */
  readonly jwks: string;
  /** A projected service account token as the API server makes them. */
  podToken(pod: PodToken): Promise<string>;
  /** Signs with a new key and writes it into the file, in place of the old one. */
  rotateKeys(): Promise<void>;
}

/** What a cluster's API server gives its pods, with the public keys in a file of `folder`. */
export async function kubernetesLikeIssuer(
  folder: Folder,
  { issuer = "https://kubernetes.default.svc.cluster.local", name = "cluster" } = {},
): Promise<KubernetesLikeIssuer> {
  const jwks = folder.at(`${name}-jwks.json`);
  let key: Awaited<ReturnType<typeof newKey>>;
  const rotateKeys = async () => {
    key = await newKey("RS256");
    folder.write(`${name}-jwks.json`, JSON.stringify({ keys: [key.publicJwk] }));
  };
  await rotateKeys();
  return {
    issuer,
    jwks,
    rotateKeys,
    podToken({ namespace, account, audience = AUDIENCE, lifetime = 3600, issuedAt = Date.now() }) {
      const now = Math.floor(issuedAt / 1000);
      return new SignJWT({
        "kubernetes.io": {
          namespace,
          node: { name: "node-1", uid: crypto.randomUUID() },
          pod: { name: `${account}-7d4b9c6f5-x2x9z`, uid: crypto.randomUUID() },
          serviceaccount: { name: account, uid: crypto.randomUUID() },
        },
      })
        .setProtectedHeader({ alg: "RS256", kid: key.kid })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${account}`)
        .setAudience([audience])
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + lifetime)
        .setJti(crypto.randomUUID())
        .sign(key.privateKey);
    },
  };
}

export interface MetadataServer extends AsyncDisposable {
  /** `127.0.0.1:PORT`, for `GCE_METADATA_HOST`. */
  readonly host: string;
  /** Path of the file with the keys of the tokens' issuer. */
  readonly jwks: string;
  /** Audiences that were asked for, in order. */
  readonly audiences: readonly string[];
}

/** What a Google VM asks for tokens of its service account, with the issuer's public keys in a file of `folder`. */
export async function startMetadataServer(folder: Folder, email: string): Promise<MetadataServer> {
  const key = await newKey("RS256");
  const audiences: string[] = [];
  const path = "/computeMetadata/v1/instance/service-accounts/default/identity";
  const server = createServer(async ({ url, headers }, response) => {
    const { pathname, searchParams } = new URL(url!, "http://metadata");
    const audience = searchParams.get("audience");
    if (headers["metadata-flavor"] !== "Google" || pathname !== path || !audience) {
      return void response.writeHead(403).end();
    }
    audiences.push(audience);
    const token = await new SignJWT({ email, email_verified: true, azp: "112233445566778899" })
      .setProtectedHeader({ alg: "RS256", kid: key.kid })
      .setIssuer("https://accounts.google.com")
      .setSubject("112233445566778899")
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(key.privateKey);
    response.writeHead(200, { "metadata-flavor": "Google" }).end(token);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    jwks: folder.write("google-jwks.json", JSON.stringify({ keys: [key.publicJwk] })),
    audiences,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
