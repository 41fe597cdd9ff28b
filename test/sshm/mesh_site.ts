/** A gateway with a user's keys, nodes that this process serves, and `sshm` run as people run it. */
import { Router } from "../../src/ssh/connection/router.ts";
import { RemoteForwards } from "../../src/ssh/forward/outgoing.ts";
import { denoNet } from "../../src/deno/net.ts";
import { relay } from "../../src/streams/relay.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { type KeyFile, knownHost, makeKey } from "../support/keygen.ts";
import { connectLibrary } from "../support/library_client.ts";
import { readSigner } from "../support/library_server.ts";
import { type GatewayUnderTest, meshEnvironment, meshLine, startGateway } from "../support/mesh.ts";
import { type Finished, run, type Running, start } from "../support/process.ts";

export interface MeshSite extends AsyncDisposable {
  readonly folder: Folder;
  readonly gateway: GatewayUnderTest;
  /** An owner's key. */
  readonly key: KeyFile;
  /** Names the gateway's host key. */
  readonly knownHosts: string;
  /** Flags that name gateway, known hosts and key. */
  readonly flags: readonly string[];
  /** Environment for `sshm`, also where another program starts it. */
  readonly env: Readonly<Record<string, string>>;
  /** The command line of `sshm`, without {@link flags}. */
  line(...args: readonly string[]): string[];
  /** Runs `sshm` to its end. */
  sshm(args: readonly string[], options?: Parameters<typeof run>[1]): Promise<Finished>;
  /** Runs `sshm` beside the test. */
  start(args: readonly string[], options?: { readonly stdin?: "piped" }): Running;
  /** Registers `NAME:PORT` at the gateway; connections go to 127.0.0.1:`to`. */
  serve(name: string, port: number, to: number): Promise<void>;
}

export async function meshSite(): Promise<MeshSite> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const key = await makeKey(folder, "user");
  const gateway = stack.use(await startGateway(folder, { owners: [key.line] }));
  const knownHosts = folder.write("known_hosts", knownHost(gateway.port, gateway.hostKey as KeyFile));
  const flags = [`--gateway=127.0.0.1:${gateway.port}`, "--known-hosts", knownHosts, "--identity", key.path];
  const env = meshEnvironment(folder.path);
  const line = (...args: readonly string[]) => meshLine("sshm", args);
  const owned = stack.move();
  return {
    folder,
    gateway,
    key,
    knownHosts,
    flags,
    env,
    line,
    sshm: (args, options = {}) => run(line(...args), { ...options, env: { ...env, ...options.env } }),
    start: (args, options) => start(line(...args), { ...options, env }),
    serve: async (name, port, to) => {
      const hostKey = gateway.hostKey as KeyFile;
      const connection = await connectLibrary({
        port: gateway.port,
        user: "node",
        hostKey,
        signer: await readSigner(key),
      });
      const flows = new Set<Promise<unknown>>();
      const forwards = new RemoteForwards(connection, new Router(connection));
      owned.defer(async () => {
        connection.close();
        await connection.gone;
        await Promise.all(flows);
      });
      await forwards.listenTcp({ host: name, port }, async (incoming) => {
        const target = await denoNet.dial({ transport: "tcp", hostname: "127.0.0.1", port: to });
        const flow = relay(incoming.accept(), target).finally(() => flows.delete(flow));
        flows.add(flow);
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
