/** Puts together what it takes to use another machine's authority: HTTPS, a credential, and {@link RemoteAuthority}. */
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { JOIN_TOKEN_PREFIX } from "../mesh/token_words.ts";
import type { Clock } from "../platform/clock.ts";
import type { Https } from "../platform/https.ts";
import type { StateFolder } from "../platform/state.ts";
import { AuthorityLink, readAnswer } from "./authority_link.ts";
import { certificateFingerprint } from "./client_key.ts";
import { GatewayCredential } from "./gateway_credential.ts";
import { readJoinToken } from "./join_token.ts";
import { authoritiesAnswer } from "./messages.ts";
import { RemoteAuthority } from "./remote.ts";
import { CaError } from "./types.ts";

/** File in the state folder: what the authority was last heard to say. */
const MEMORY_FILE = "remote_ca_heard.json";
/** Bytes of an answer: a KRL has at most 16 MiB. */
const MAX_ANSWER = 17 * 1024 * 1024;

export interface ConnectOptions {
  /** `https://ca.example.com:15443`. */
  readonly url: string;
  /** PEM of roots that the authority's server is trusted by. None: those that the join token names, or was joined with. */
  readonly roots?: readonly string[];
  /** Join token, as `ca.ts token create` printed it; not needed any more once it was used. */
  readonly token?: string;
  readonly https: Https;
  readonly state: Pick<StateFolder, "read" | "write">;
  readonly clock: Clock;
  /** What goes wrong for a while, in a sentence for the log; nothing: it is over. Must not throw. */
  readonly onTrouble?: (error?: Error) => void;
}

export interface ConnectedAuthority {
  readonly authority: RemoteAuthority;
  /** Ends connections and timers. */
  close(): void;
}

/**
 * Connects to the authority at `url`. The first time it spends the join token; later its own certificate, kept in the
 * state folder and renewed by itself, proves it. While the authority is away it starts with what was last heard.
 *
 * Whom it believes to be the authority: who proves itself below `roots`, or below roots that the authority told of over
 * such a connection; without any, below the root whose fingerprint is in the join token.
 * @throws {TypeError} for a URL that is none; {@link CaError} when there is no credential, or nothing was ever heard
 */
export async function connectRemoteAuthority(options: ConnectOptions): Promise<ConnectedAuthority> {
  const { https, state, clock, token, onTrouble } = options;
  const url = parseAuthorityUrl(options.url);
  const credential = await GatewayCredential.open(url, { state, clock, onTrouble });
  const given = options.roots ?? [];
  // System roots only when nobody said which.
  const roots = () => {
    const known = [...given, ...credential.roots];
    return known.length > 0 ? known : undefined;
  };
  const client = (more: Partial<Parameters<Https>[0]> = {}) =>
    https({ roots, maxAnswer: MAX_ANSWER, ...more });
  const [anyone, self] = [client(), client({ identity: () => credential.tls })];
  const link = new AuthorityLink({ url, clock, anyone, self });
  const close = () => {
    authority?.close();
    credential.close();
    anyone.close();
    self.close();
  };
  let authority: RemoteAuthority | undefined;
  try {
    const joinNow = () => join({ url, token, given, credential, https, clock });
    if (!credential.isValid) {
      await joinNow().catch((error) => {
        // Who was away for long has heard something once, and goes on trying.
        if (!credential.wasGiven || token === undefined) throw error;
        onTrouble?.(error);
      });
    }
    authority = new RemoteAuthority({
      link,
      clock,
      onTrouble,
      memory: {
        async read() {
          const content = await state.read(MEMORY_FILE);
          return content && decodeText(content);
        },
        write: (text) => state.write(MEMORY_FILE, encodeText(text)),
      },
    });
    const connected = authority;
    const { x509 } = await connected.authorities();
    await credential.learn(x509);
    connected.watch(() => {
      connected.authorities().then(({ x509 }) => credential.learn(x509)).catch((error) => onTrouble?.(error));
    });
    credential.start(link, token === undefined ? undefined : joinNow);
    return { authority: connected, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** `https://HOST[:PORT]`. @throws {TypeError} with a sentence */
function parseAuthorityUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const bare = url && url.protocol === "https:" && url.pathname === "/" && !url.search && !url.hash &&
    !url.username;
  if (!bare) throw new TypeError(`'${text}' is not the address of an authority: write https://HOST:PORT`);
  return url.origin;
}

async function join(
  { url, token, given, credential, https, clock }: {
    readonly url: string;
    readonly token?: string;
    readonly given: readonly string[];
    readonly credential: GatewayCredential;
    readonly https: Https;
    readonly clock: Clock;
  },
): Promise<void> {
  if (token === undefined) {
    throw new CaError(
      "unavailable",
      `there is no credential for the authority at ${url}: make a join token there (ssh-mesh-ca token create ` +
        "--name NAME) and give it here (--ca-join)",
    );
  }
  const roots = given.length > 0 ? given : await rootsNamedBy(token, url, https, clock);
  const client = https({ roots: () => roots, maxAnswer: MAX_ANSWER });
  const bearer = {
    fetch: (target: string, request: Parameters<typeof client.fetch>[1]) =>
      client.fetch(target, { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } }),
  };
  try {
    await credential.join(new AuthorityLink({ url, clock, anyone: client, self: bearer }), roots);
  } finally {
    client.close();
  }
}

/**
 * The authority's roots whose fingerprints are in the token: asked for over a connection that nothing is said of, so
 * that the token goes to nobody else.
 * @throws {CaError} `invalid`, with nothing of the token in it
 */
async function rootsNamedBy(
  token: string,
  url: string,
  https: Https,
  clock: Clock,
): Promise<readonly string[]> {
  const named = readJoinToken(token)?.hosts;
  if (named === undefined) {
    throw new CaError(
      "invalid",
      `it is no join token: give it as \`token create\` printed it, ${JOIN_TOKEN_PREFIX}…`,
    );
  }
  const client = https({ roots: () => undefined, unverified: true, maxAnswer: MAX_ANSWER });
  try {
    const link = new AuthorityLink({ url, clock, anyone: client, self: client });
    const answer = await link.once("/api/v1/ca", { as: "anyone" });
    const { x509 } = await readAnswer(link, answer, authoritiesAnswer);
    const fingerprints = await Promise.all(x509.map(async (pem) => await certificateFingerprint(pem)));
    const roots = x509.filter((_, index) => named.includes(fingerprints[index]));
    if (roots.length > 0) return roots;
  } finally {
    client.close();
  }
  throw new CaError(
    "unavailable",
    `${url} has no root that the join token names: it is another authority's token, or somebody stands in between`,
  );
}
