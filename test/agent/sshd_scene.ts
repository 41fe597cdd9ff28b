/** The command in sshd's place: a key that may log in, a configuration, and ways to get there. */
import { type KeyFile, knownHost, makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh } from "../support/peers.ts";
import { start } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { freePort } from "../support/tcp.ts";

export interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly hostKey: KeyFile;
  readonly env: Record<string, string>;
  /** Writes an sshd_config with what every one here needs; `lines` come first, so they win, but for Match and what follows. */
  config(...lines: string[]): string;
}

export async function makeScene(): Promise<Scene> {
  const site = await makeSite();
  const { folder } = site;
  const hostKey = await makeKey(folder, "host");
  const authorized = folder.write("authorized", site.key.line + "\n");
  return {
    site,
    hostKey,
    env: meshEnvironment(folder.path),
    config(...lines) {
      const match = lines.findIndex((line) => line.startsWith("Match"));
      const global = match < 0 ? lines : lines.slice(0, match);
      return folder.write(
        "sshd_config",
        [
          ...global,
          `HostKey ${hostKey.path}`,
          `AuthorizedKeysFile ${authorized}`,
          "StrictModes no",
          "PidFile none",
          "PermitRootLogin prohibit-password",
          "Subsystem sftp internal-sftp",
          ...lines.slice(global.length),
          "",
        ].join("\n"),
      );
    },
    [Symbol.asyncDispose]() {
      site[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

/** `ssh` whose way is our command on pipes. */
export function throughPipes({ site, env }: Scene, args: readonly string[], command: string): string[] {
  const shell = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const proxy = ["env", ...shell, ...meshLine("agent", args)].map((word) => `'${word}'`).join(" ");
  const options = [`ProxyCommand=${proxy}`, "StrictHostKeyChecking=no", "LogLevel=ERROR"];
  const all = opensshOptions({
    port: 22,
    identity: site.key.path,
    knownHosts: site.folder.at("unseen"),
    options,
  });
  return openssh.line("ssh", ...all, `${ownUser}@pipe`, command);
}

/** A server that listens, with `lines` of configuration. */
export async function listening(scene: Scene, ...lines: string[]): Promise<MeshCommand & { port: number }> {
  const port = freePort();
  const config = scene.config(`ListenAddress 127.0.0.1:${port}`, ...lines);
  const line = meshLine("agent", ["--sshd-config", config, "--log", "json"]);
  const server = new MeshCommand(start(line, { env: scene.env }));
  try {
    await server.event("ready");
  } catch (error) {
    await server.kill();
    throw error;
  }
  Deno.writeTextFileSync(scene.site.knownHosts, knownHost(port, scene.hostKey), { append: true });
  return Object.assign(server, { port });
}

export function client({ site }: Scene, port: number, options: readonly string[] = []) {
  return { port, user: ownUser, identity: site.key.path, knownHosts: site.knownHosts, options };
}
