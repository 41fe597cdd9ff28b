/** What `policy test` is asked, from its flags to what the policy decides about. Pure. */
import { parseIp } from "../bytes/ip_address.ts";
import {
  type Action,
  type DecisionContext,
  type Resource,
  rights,
  rightTable,
  selfServiceActions,
} from "../identity/policy/mod.ts";
import {
  anonymous,
  ENROLLED_ISSUER,
  type Identity,
  IdentityError,
  type IdentityKind,
  identityKinds,
  keyIdentity,
} from "../identity/principal.ts";
import { certificateIdentity } from "../identity/ssh_certificate.ts";
import { fullName, NameError, normalizeName, shortName } from "../routing/names.ts";
import { SshmError } from "./exit_codes.ts";

/** Values of the flags of `policy test`, as they were typed. */
export interface QuestionFlags {
  readonly as: readonly string[];
  readonly may: readonly string[];
  readonly what?: string;
  readonly owner?: boolean;
  readonly kind?: string;
  readonly issuer?: string;
  readonly subject?: string;
  readonly key?: string;
  readonly trustDomain?: string;
  readonly group?: readonly string[];
  readonly claim?: readonly string[];
  readonly expires?: string;
  readonly from?: string;
  readonly at?: string;
  readonly login?: string;
  readonly domain?: string;
  readonly via?: string;
  readonly address?: string;
  readonly published?: boolean;
}

/** One question to the policy. */
export interface TestQuestion {
  /** As `--as` says it. */
  readonly as: string;
  readonly identity: Identity;
  readonly action: Action;
  /** Undefined for a right that is about nothing in particular. */
  readonly what?: string;
  readonly resource: Resource;
  readonly context: DecisionContext;
}

/**
 * Every `--as` with every `--may`.
 * @param now milliseconds since 1970, for `--at`
 * @throws {SshmError} `usage`
 */
export function readQuestions(flags: QuestionFlags, now: number): TestQuestion[] {
  const context: DecisionContext = {
    now: flags.at === undefined ? now : readTime("--at", flags.at),
    ...(flags.from !== undefined && { sourceAddress: readAddress("--from", flags.from) }),
    ...(flags.login !== undefined && { login: flags.login }),
  };
  const identities = flags.as.map((as) => ({ as, identity: readIdentity(as, flags) }));
  const asked = flags.may.map((word) => {
    const action = readAction(word);
    return { action, resource: readResource(action, flags) };
  });
  return identities.flatMap((who) =>
    asked.map(({ action, resource }) => ({
      ...who,
      action,
      resource,
      context,
      ...(resource.kind !== "gateway" && { what: flags.what }),
    }))
  );
}

/** What stands in for the fingerprint of an authority or a key that no flag names. */
const UNNAMED = "SHA256:(unnamed)";

/**
 * | `--as` | who |
 * |---|---|
 * | `anonymous` | who has shown no credential |
 * | `key:SHA256:…`, `SHA256:…` | a plain key |
 * | `NAME`, `cert:NAME` | the holder of a certificate whose first principal is NAME: an e-mail address, `KSA@NS.TD`, … |
 * | `jwt:NAME`, `oidc:NAME`, `x509:NAME` | the same by another kind of credential |
 * | `join:NAME` | who has a one-time token for the node NAME, not used yet |
 * | `enrolled:NAME` | the key that such a token has enrolled |
 */
function readIdentity(text: string, flags: QuestionFlags): Identity {
  const { owner = false, issuer, group = [], key } = flags;
  const expiresAt = flags.expires === undefined ? undefined : readTime("--expires", flags.expires);
  if (text === "anonymous") return anonymous;
  const fingerprint = /^(?:key:)?(SHA256:\S+)$/.exec(text)?.[1];
  if (fingerprint) {
    return { ...keyIdentity({ fingerprint, owner, expiresAt }), groups: group, claims: readClaims(flags) };
  }
  const [, prefix, name] = /^(?:(cert|jwt|oidc|x509|join|enrolled):)?(.+)$/.exec(text) ?? [];
  if (!name) throw usage(`--as '${text}' names nobody`);
  if (prefix === "enrolled") return enrolled(name, flags);
  const kind = prefix === undefined
    ? readKind(flags.kind)
    : readKind(prefix === "cert" ? "ssh-cert" : prefix);
  const identity = named(name, flags.trustDomain?.toLowerCase());
  return {
    ...identity,
    ...(flags.subject !== undefined && { subject: flags.subject }),
    kind,
    owner,
    issuer: issuer ?? (kind === "ssh-cert" ? identity.issuer : flags.trustDomain ?? "(unnamed)"),
    groups: group,
    claims: { ...(kind === "ssh-cert" && identity.claims), ...readClaims(flags) },
    ...(expiresAt !== undefined && { expiresAt }),
    credential: key === undefined ? {} : { fingerprint: key },
  };
}

/** A key that a join token has enrolled for one node: it goes by the node's name. */
function enrolled(text: string, { domain, key = UNNAMED }: QuestionFlags): Identity {
  const { name } = readNode("--as", text, domain);
  const identity = keyIdentity({ fingerprint: key, owner: false });
  return { ...identity, issuer: ENROLLED_ISSUER, name, fqdn: name };
}

/** What a name means is decided where certificates are read: the same here as at the gateway. */
function named(name: string, trustDomain: string | undefined): Identity {
  try {
    return certificateIdentity({
      principals: [name],
      validBefore: 2n ** 64n - 1n,
      extensions: new Map([["permit-port-forwarding", new Uint8Array()]]),
      serial: 0n,
      keyId: "",
    }, {
      fingerprint: UNNAMED,
      authority: UNNAMED,
      ...(trustDomain && { trustDomain, trustDomains: [trustDomain] }),
    });
  } catch (error) {
    if (error instanceof IdentityError) throw usage(error.message);
    throw error;
  }
}

function readKind(text = "ssh-cert"): IdentityKind {
  const kind = identityKinds.find((kind) => kind === text);
  if (!kind) throw usage(`--kind '${text}' is none of ${identityKinds.join(", ")}`);
  return kind;
}

/** `NAME=VALUE`; a name that comes twice is a list. */
function readClaims({ claim = [] }: QuestionFlags): Record<string, unknown> {
  const claims = new Map<string, string[]>();
  for (const text of claim) {
    const at = text.indexOf("=");
    if (at < 1) throw usage(`--claim '${text}' is not NAME=VALUE`);
    const name = text.slice(0, at);
    claims.set(name, [...claims.get(name) ?? [], text.slice(at + 1)]);
  }
  return Object.fromEntries(
    [...claims].map(([name, values]) => [name, values.length > 1 ? values : values[0]]),
  );
}

function readAction(word: string): Action {
  const action = [...rights, ...selfServiceActions].find((action) => action === word);
  if (!action) throw usage(`--may '${word}' is no right: there are ${rights.join(", ")}`);
  return action;
}

function readResource(action: Action, flags: QuestionFlags): Resource {
  const scope = action in rightTable ? rightTable[action as keyof typeof rightTable].scope : "none";
  const { what } = flags;
  if (scope === "none") {
    if (what !== undefined && flags.may.length === 1) {
      throw usage(`'${action}' is about nothing in particular: leave out --what`);
    }
    return { kind: "gateway" };
  }
  if (what === undefined) throw usage(`'${action}' needs --what ${EXPECTED[scope]}`);
  return READERS[scope](what, flags);
}

const EXPECTED = { node: "NODE[:PORT]", dial: "ADDRESS:PORT", listen: "PORT" } as const;

const READERS = {
  node(text: string, { domain, published }: QuestionFlags): Resource {
    const [, host, port] = /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
    if (!host) throw usage(`--what '${text}' is not NODE[:PORT]`);
    return {
      kind: "node",
      ...readNode("--what", host, domain),
      ...(port !== undefined && { port: readPort("--what", port) }),
      ...(published && { published }),
    };
  },
  dial(text: string, { via = "gateway", address, domain }: QuestionFlags): Resource {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
    if (!match) throw usage(`--what '${text}' is not ADDRESS:PORT or HOST:PORT`);
    const host = match[1] ?? match[2];
    const port = readPort("--what", match[3]);
    const isAddress = parseIp(host) !== undefined;
    if (!isAddress && address === undefined && via === "gateway") {
      throw usage(`the gateway looks '${host}' up before it judges: say with --address what it would find`);
    }
    const dialled = isAddress ? host : address && readAddress("--address", address);
    return {
      kind: "address",
      port,
      ...(dialled && { address: dialled }),
      ...(!isAddress && { host: readNode("--what", host).name }),
      via: via === "gateway" ? via : readNode("--via", via, domain),
    };
  },
  listen(text: string): Resource {
    return { kind: "listener", port: readPort("--what", text) };
  },
} as const;

/** @param domain the gateway's, where `NAME` and `NAME.DOMAIN` are the same */
function readNode(flag: string, text: string, domain?: string): { name: string; aliases?: string[] } {
  try {
    const name = normalizeName(text);
    if (domain === undefined) return { name };
    const full = fullName(name, normalizeName(domain));
    const alias = shortName(full, normalizeName(domain));
    return { name: full, ...(alias && { aliases: [alias] }) };
  } catch (error) {
    if (error instanceof NameError) throw usage(`${flag} '${text}': ${error.message}`);
    throw error;
  }
}

function readPort(flag: string, text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) throw usage(`${flag} '${text}' is no port`);
  return port;
}

function readAddress(flag: string, text: string): string {
  if (!parseIp(text)) throw usage(`${flag} '${text}' is no IP address`);
  return text;
}

function readTime(flag: string, text: string): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(time)) {
    throw usage(`${flag} '${text}' is not a time with its zone: write 2027-01-31T00:00:00Z`);
  }
  return time;
}

function usage(message: string): SshmError {
  return new SshmError("usage", message);
}
