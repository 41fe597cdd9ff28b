/**
 * A gateway that believes a company's OpenID provider and a cluster's service accounts, and people with nothing but a token.
 *
 * Everything goes by names: the gateway is `localhost`, its domain, since certificates hold no addresses.
 */
import type { Folder } from "./folder.ts";
import { sharedFolder } from "./folder.ts";
import { askingEnvironment } from "./askpass.ts";
import { type KeyFile, makeKey } from "./keygen.ts";
import { type GatewayUnderTest, MeshCommand, meshEnvironment, meshLine, startGateway } from "./mesh.ts";
import { type Account, type KubernetesLikeIssuer, kubernetesLikeIssuer, startOidcProvider } from "./oidc.ts";
import type { OidcProvider } from "./oidc.ts";
import { openssh, type Peer } from "./peers.ts";
import { type Finished, run, start, succeed } from "./process.ts";
import { ownUser } from "./stock_server.ts";

/** The trust domain of the cluster. */
export const TRUST_DOMAIN = "prod.mycorp.com";

export const ANN: Account = { sub: "ann", email: "ann@mycorp.com", email_verified: true };
export const BOB: Account = { sub: "bob", email: "bob@mycorp.com", email_verified: true };

const POLICY = `
groups:
  sre: { email: [ann@mycorp.com] }
rules:
  - name: pods register themselves
    who:  { trust_domain: ${TRUST_DOMAIN} }
    may:  [register, cert-host]
    what: { node: self }
  - name: sre reaches production
    who:  { group: sre }
    may:  [connect, login, exec, sftp, forward]
    what: { node: ["*.${TRUST_DOMAIN}", "*.localhost"] }
`;

/** Somebody with a token and an SSH client. */
export interface Person {
  readonly folder: Folder;
  /** A key that nobody knows. */
  readonly key: KeyFile;
  /** Where `ssh` finds the person's certificate. */
  readonly certificate: string;
  readonly knownHosts: string;
  /** For `ssh -F`: `gw` is the gateway, every other name is behind it. */
  readonly config: string;
  /** Environment in which ssh asks sshm for the token. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs stock `ssh` with the configuration; nothing is asked but by the token's prompts. */
  ssh(
    args: readonly string[],
    options?: Parameters<typeof run>[1] & { readonly peer?: Peer },
  ): Promise<Finished>;
  /** `ssh GW known-hosts` and `ssh GW cert`, into the files above. */
  signIn(ttl?: string): Promise<void>;
  /** The line of `ssh`, to keep it beside the test. */
  line(args: readonly string[], peer?: Peer): string[];
}

export interface IdentityScene extends AsyncDisposable {
  readonly folder: Folder;
  readonly provider: OidcProvider;
  readonly cluster: KubernetesLikeIssuer;
  readonly owner: KeyFile;
  gateway: GatewayUnderTest;
  /** Path of the policy. */
  readonly policy: string;
  /** A known_hosts file with the gateway's host key alone: what its start has printed. */
  readonly gatewayHosts: string;
  /** Runs `sshm` as the owner. */
  sshm(...args: readonly string[]): Promise<Finished>;
  /** Somebody new, whose token is `account`'s. */
  person(name: string, account: Account): Promise<Person>;
  /** Starts an agent that has nothing but a pod's token; it is registered when this resolves. */
  startPod(pod: { namespace: string; account: string }, options?: {
    readonly args?: readonly string[];
    readonly lifetime?: number;
  }): Promise<MeshCommand & { readonly fqdn: string; readonly tokenFile: string; readonly state: string }>;
}

/** @param options.config further lines of the configuration file */
export async function identityScene(
  options: {
    /** Makes what must be there before the gateway starts; resolves to further arguments for it. */
    readonly prepare?: (folder: Folder) => Promise<readonly string[]>;
    readonly config?: string;
    /** More issuers, as YAML. @param folder the scene's */
    readonly issuers?: (folder: Folder) => Promise<string>;
  } = {},
): Promise<IdentityScene> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(sharedFolder());
  const provider = stack.use(await startOidcProvider());
  const cluster = await kubernetesLikeIssuer(folder);
  const owner = await makeKey(folder, "owner");
  const policy = folder.write("policy.yaml", POLICY);
  const config = folder.write(
    "gateway.yaml",
    `issuers:
  - issuer: ${provider.issuer}
  - issuer: ${cluster.issuer}
    jwks: ${cluster.jwks}
    trust_domain: ${TRUST_DOMAIN}
${await options.issuers?.(folder) ?? ""}${options.config ?? ""}`,
  );
  const args = ["--config", config, "--policy", policy, ...await options.prepare?.(folder) ?? []];
  const gateway = await startGateway(folder, { owners: [owner.line], args });
  const { port } = gateway;
  const gatewayHosts = folder.write(
    "gateway_hosts",
    `[localhost]:${port},localhost ${gateway.hostKey.bare}\n`,
  );
  const scene: IdentityScene = {
    folder,
    provider,
    cluster,
    owner,
    gateway,
    policy,
    gatewayHosts,
    sshm: (...words) =>
      run(
        meshLine("sshm", [
          ...["--gateway", `localhost:${port}`, "--known-hosts", gatewayHosts, "--identity", owner.path],
          ...words,
        ]),
        { env: meshEnvironment(folder.path) },
      ),
    person: (name, account) => makePerson(scene, name, account),
    startPod: (pod, more) => startPod(scene, pod, more),
    [Symbol.asyncDispose]: async () => {
      await scene.gateway[Symbol.asyncDispose]();
      await owned.disposeAsync();
    },
  };
  const owned = stack.move();
  return scene;
}

async function makePerson(scene: IdentityScene, name: string, account: Account): Promise<Person> {
  const { folder, provider, gateway: { port } } = scene;
  Deno.mkdirSync(folder.at(name), { mode: 0o700 });
  const at = (file: string) => `${name}/${file}`;
  const key = await makeKey(folder, at("id_ed25519"));
  const token = folder.write(at("token"), await provider.idToken(account));
  const knownHosts = folder.write(at("known_hosts"), folder.read("gateway_hosts"));
  const config = folder.write(
    at("config"),
    `Host gw
  HostName 127.0.0.1
  Port ${port}
  HostKeyAlias localhost
Host * !gw
  ProxyJump gw
Host *
  User ${ownUser}
  IdentityFile ${key.path}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile ${knownHosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  NumberOfPasswordPrompts 1
  ConnectTimeout 15
  ExitOnForwardFailure yes
`,
  );
  const own: Folder = {
    ...folder,
    path: folder.at(name),
    at: (file) => folder.at(at(file)),
    write: (file, content, mode) => folder.write(at(file), content, mode),
    read: (file) => folder.read(at(file)),
  };
  const env = askingEnvironment(own, `localhost:${port}`, { SSHM_TOKEN_FILE: token });
  const line = (args: readonly string[], peer = openssh) => peer.line("ssh", "-F", config, ...args);
  const person: Person = {
    folder: own,
    key,
    certificate: `${key.path}-cert.pub`,
    knownHosts,
    config,
    env,
    line,
    ssh: (args, { peer, ...more } = {}) => run(line(args, peer), { env, ...more }),
    async signIn(ttl) {
      // ssh would come with the certificate of last time, which gets no other.
      await Deno.remove(person.certificate).catch(() => {});
      const hosts = await succeed(line(["gw", "known-hosts"]), { env });
      Deno.writeTextFileSync(knownHosts, hosts.text);
      const command = ttl === undefined ? "cert" : `cert --ttl ${ttl}`;
      const { text } = await succeed(line(["gw", command]), { env, stdin: `${key.line}\n` });
      own.write("id_ed25519-cert.pub", text);
    },
  };
  return person;
}

async function startPod(
  { folder, cluster, gatewayHosts, gateway: { port } }: IdentityScene,
  { namespace, account }: { namespace: string; account: string },
  { args = [], lifetime }: { readonly args?: readonly string[]; readonly lifetime?: number } = {},
) {
  const home = folder.at(`pod-${account}`);
  Deno.mkdirSync(home, { recursive: true, mode: 0o700 });
  const tokenFile = folder.write(
    `pod-${account}/token`,
    await cluster.podToken({ namespace, account, ...(lifetime !== undefined && { lifetime }) }),
    0o644, // as Kubernetes projects it
  );
  const state = `${home}/state`;
  const line = meshLine("agent", [
    ...["--gateway", `localhost:${port}`, "--known-hosts", gatewayHosts],
    ...["--token-file", tokenFile, "--state", state, "--log", "json", ...args],
  ]);
  const command = new MeshCommand(start(line, { env: meshEnvironment(home) }));
  try {
    await command.event("ready");
  } catch (error) {
    await command.kill();
    throw error;
  }
  return Object.assign(command, { fqdn: `${account}.${namespace}.svc.${TRUST_DOMAIN}`, tokenFile, state });
}
