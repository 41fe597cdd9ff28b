/** An agent with a token or a join token at a gateway in memory. */
import { AgentCredentials, type CredentialOptions } from "../../src/agent/credentials.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import { GatewayLink } from "../../src/agent/gateway_link.ts";
import type { LinkContext } from "../../src/agent/link_context.ts";
import { GatewayTrust, type TrustAnchors } from "../../src/agent/gateway_trust.ts";
import { parseJoinToken } from "../../src/agent/join_token.ts";
import type { TokenSource } from "../../src/agent/token_source.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { readableFiles } from "../../src/deno/readable_files.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeGateway, gatewayKey, hostAuthority, memoryState } from "./fake_gateway.ts";

export const gateway = { hostname: "gw.mesh", port: 15022 };
export const never = new AbortController().signal;
export const gatewayPrint = await gatewayKey.publicKey.fingerprint();
export const authorityPrint = await hostAuthority.publicKey.fingerprint();

export function joinToken(id = "id1", hosts = [gatewayPrint]) {
  const content = { i: id, s: `secret-of-${id}`, n: "web", h: hosts };
  return parseJoinToken(`sshm1.${encodeBase64Url(encodeText(JSON.stringify(content)))}`);
}

export interface SceneOptions extends Partial<Pick<CredentialOptions, "token" | "join" | "audience">> {
  readonly anchors?: Partial<TrustAnchors>;
  readonly fake?: FakeGateway;
  readonly clock?: FakeClock;
  readonly state?: ReturnType<typeof memoryState>;
  /** `--identity` */
  readonly identity?: string;
}

/** An agent as the command makes it, short of its server. */
export function scene(options: SceneOptions = {}) {
  const { token, join, audience, clock = new FakeClock(), state = memoryState() } = options;
  const fake = options.fake ?? new FakeGateway(clock);
  const events: AgentEvent[] = [];
  const log = (event: AgentEvent) => void events.push(event);
  const joinAnchor = join && { joinToken: join };
  const trust = new GatewayTrust(
    { fingerprints: [], ...joinAnchor, ...options.anchors },
    state,
    () => clock.now(),
    log,
  );
  const credentials = new AgentCredentials({
    identities: { files: readableFiles, path: options.identity, home: "/nowhere", state, log },
    trust,
    state,
    clock,
    log,
    token,
    audience,
    join,
  });
  const context: LinkContext = {
    net: fake.net,
    clock,
    crypto: nodeCrypto,
    trust,
    log,
    credentials: (gateway, signal) => credentials.forDial(gateway, signal),
    user: "app",
    instance: "instance-1",
    exposures: [{ port: 22, target: "ssh" }],
    private: false,
    allowDial: [],
    onConnection: (_, connection) => connection.accept().close(),
    dialPolicy: {},
  };
  const open = () => GatewayLink.open(gateway, context, never);
  return { fake, clock, state, events, trust, credentials, context, open, log };
}

export async function closed(link: GatewayLink): Promise<void> {
  link.close();
  await link.closed;
}

export function source(read: (audience: string) => string | Promise<string>): TokenSource {
  return { label: "--token-file /token", read: async (audience) => await read(audience) };
}

export const believed = { fingerprints: [gatewayPrint] };
