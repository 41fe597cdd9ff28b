/** Our agent behind our gateway, with a plain port in front of its server for clients that cannot jump. */
import { makeKey } from "./keygen.ts";
import { type GatewayUnderTest, type MeshCommand, startAgent, startGateway } from "./mesh.ts";
import { openssh } from "./peers.ts";
import { run, start, succeed } from "./process.ts";
import { makeSite, type Site } from "./site.ts";
import { jumpConfig, sshLine } from "./stock_client.ts";
import { ownUser } from "./stock_server.ts";
import { freePort } from "./tcp.ts";
import { waitUntil } from "./wait.ts";

/** The agent is registered as `box`; the site's user may log in, and owns the gateway. */
export interface AgentScene extends AsyncDisposable {
  readonly site: Site;
  readonly gateway: GatewayUnderTest;
  readonly agent: MeshCommand;
  /** The agent's server, through the gateway. */
  readonly server: { port: number; user: string; hostKey: { bare: string; fingerprint: string } };
  /** Configuration for `ssh -F`, in which `box` is the agent. */
  readonly config: string;
}

/**
 * @param options.ssh client options, `Name=value`
 * @param options.agent further arguments of the agent's command
 */
export async function makeAgentScene(
  options: { readonly ssh?: readonly string[]; readonly agent?: (site: Site) => readonly string[] } = {},
): Promise<AgentScene> {
  const stack = new AsyncDisposableStack();
  try {
    const site = stack.use(await makeSite());
    const identity = await makeKey(site.folder, "agent");
    const gateway = stack.use(await startGateway(site.folder, { owners: [site.key.line, identity.line] }));
    site.expect(gateway.port, gateway.hostKey);
    const args = options.agent?.(site);
    const authorized = [site.key.line];
    const agent = stack.use(
      await startAgent(site.folder, { name: "box", gateway, identity, authorized, args }),
    );
    const port = freePort();
    const client = {
      port: gateway.port,
      user: ownUser,
      identity: site.key.path,
      knownHosts: site.knownHosts,
    };
    stack.use(start(sshLine(openssh, client, ["-N", "-L", `127.0.0.1:${port}:box:22`])));
    const bare = await waitUntil("the agent's host key", async () => {
      const { text } = await run(
        openssh.line("ssh-keyscan", "-t", "ed25519", "-p", String(port), "127.0.0.1"),
      );
      return text.split("\n").find((line) => line.startsWith("["))?.split(" ").slice(1, 3).join(" ");
    });
    const file = site.folder.write("agent-host.pub", `${bare}\n`);
    const fingerprint = (await succeed(openssh.line("ssh-keygen", "-lf", file))).text.split(" ")[1];
    site.expect(port, { bare });
    Deno.writeTextFileSync(site.knownHosts, `box,box.localhost ${bare}\n`, { append: true });
    const config = site.folder.write("config", jumpConfig({ ...client, options: options.ssh }));
    const owned = stack.move();
    return {
      site,
      gateway,
      agent,
      server: { port, user: ownUser, hostKey: { bare, fingerprint } },
      config,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
