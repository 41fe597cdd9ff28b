/** The agent's command, with a stock sshd as its gateway. */
import { type KeyFile, makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh } from "../support/peers.ts";
import { type Finished, run, start } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { ownUser, startSshd, type StockServer } from "../support/stock_server.ts";

export const need = [openssh];

export interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly identity: KeyFile;
  readonly hostKey: KeyFile;
  readonly gateway: StockServer;
  /** Arguments that every agent here has. */
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  start(...more: string[]): MeshCommand;
  /** Runs an agent to its end. */
  end(...more: string[]): Promise<Finished>;
}

/** A stock sshd as gateway, and a key that it lets in. */
export async function makeScene(config: readonly string[] = []): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  try {
    const site = stack.use(await makeSite());
    const { folder } = site;
    const identity = await makeKey(folder, "identity");
    const hostKey = await makeKey(folder, "gateway");
    const gateway = stack.use(
      await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [identity.line], config }),
    );
    const env = meshEnvironment(folder.path);
    const authorized = folder.write("authorized", site.key.line + "\n");
    const args = [
      ...["--gateway", `127.0.0.1:${gateway.port}`, "--identity", identity.path],
      ...["--state", folder.at("state"), "--authorized-keys", authorized, "--log", "json"],
    ];
    const owned = stack.move();
    return {
      site,
      identity,
      hostKey,
      gateway,
      args,
      env,
      start: (...more) => new MeshCommand(start(meshLine("agent", [...args, ...more]), { env })),
      end: (...more) => run(meshLine("agent", [...args, ...more]), { env }),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** `ssh` into the agent's server at `port`, its key accepted unseen. */
export function into(
  site: Site,
  port: number,
  rest: readonly string[],
  command?: string,
  user = ownUser,
): string[] {
  const options = ["StrictHostKeyChecking=no"];
  return sshLine(
    openssh,
    {
      port,
      user,
      identity: site.key.path,
      knownHosts: site.folder.at("unseen"),
      options,
    },
    rest,
    command,
  );
}

/** The last line of standard error that is the agent's own sentence. */
export function sentence({ stderr }: Finished): string {
  return stderr.trim().split("\n").at(-1)!;
}
