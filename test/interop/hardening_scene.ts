/** A gateway's command and its owner, for what an attacker tries on them. */
import { type GatewayUnderTest, startGateway } from "../support/mesh.ts";
import { makeSite, type Site } from "../support/site.ts";

export interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly gateway: GatewayUnderTest;
  /** The gateway's owner, for `sshLine`. */
  readonly owner: { port: number; identity: string; knownHosts: string };
}

export async function makeScene(args: readonly string[] = []): Promise<Scene> {
  const site = await makeSite();
  const gateway = await startGateway(site.folder, { owners: [site.key.line], args });
  site.expect(gateway.port, gateway.hostKey);
  return {
    site,
    gateway,
    owner: { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      site[Symbol.dispose]();
    },
  };
}

/** What a connection is greeted with, up to the end of a line. */
export async function greeting(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(256);
  const count = await connection.read(buffer).catch(() => null);
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

/** A connection to the gateway, of which nothing is sent yet. */
export const dial = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });
