/** The agent's sessions behind a real SSH server on loopback. */
import {
  type BuiltinPrograms,
  defaultSessionPolicy,
  sessionHandlers,
  type SessionHost,
  type SessionPolicy,
} from "../../src/agent/exec.ts";
import type { Account } from "../../src/agent/login.ts";
import { accountSource } from "../../src/deno/account.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { isExecutable } from "../../src/deno/executable.ts";
import { systemAccounts, systemFiles } from "../../src/deno/files.ts";
import { denoNet } from "../../src/deno/net.ts";
import { makePrivateFolder } from "../../src/deno/private_folder.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import type { NetConnection, TcpAddress } from "../../src/platform/net.ts";
import type { Processes } from "../../src/platform/process.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { serveSession } from "../../src/ssh/session/server.ts";
import { serveSftp } from "../../src/ssh/sftp/server.ts";
import { readSigner } from "../support/library_server.ts";
import { makeSite } from "../support/site.ts";
import { makeKey } from "../support/keygen.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { waitUntil } from "../support/wait.ts";

export const own: Account = await accountSource.own();

export const host: SessionHost = { processes: denoProcesses, net: denoNet, makePrivateFolder, isExecutable };

export const builtins: BuiltinPrograms = {
  "internal-sftp": (_args, { home }) => ({
    async serve(channel) {
      await serveSftp(channel, { files: systemFiles, accounts: systemAccounts, home });
      return { code: 0 };
    },
  }),
};

export interface SessionServer extends AsyncDisposable {
  readonly port: number;
  /** Folder of the site's keys. */
  readonly folder: string;
  /** Arguments of `ssh`, `scp` and `sftp` that make them come here; the port apart. */
  readonly options: string[];
  readonly errors: readonly unknown[];
  /** Programs with pipes that run. */
  readonly programs: number;
}

/** Starts a server; all keys of the test's own site may log in. */
export async function startSessionServer(
  { policy = {}, account = {} }: { policy?: Partial<SessionPolicy>; account?: Partial<Account> } = {},
): Promise<SessionServer> {
  const site = await makeSite();
  const hostKey = await makeKey(site.folder, "host");
  const signer = await readSigner(hostKey);
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const { port } = listener.address as TcpAddress;
  site.expect(port, hostKey);
  const errors: unknown[] = [];
  let programs = 0;
  const processes: Processes = {
    ...denoProcesses,
    async spawn(command) {
      programs++;
      const child = await denoProcesses.spawn(command).catch((error) => {
        programs--;
        throw error;
      });
      child.status.finally(() => programs--);
      return child;
    },
  };
  const life = new AbortController();
  const open = new Set<Promise<void>>();

  async function serve(duplex: NetConnection): Promise<void> {
    const { hostname: clientAddress, port: clientPort } = duplex.remote as TcpAddress;
    const connection = await acceptSsh<string>(duplex, {
      crypto: nodeCrypto,
      hostKeys: [signer],
      signal: life.signal,
      auth: { publicKey: () => ({ result: "accepted", identity: "anyone" }) },
      prepare: (connection) => {
        connection.onChannel = (incoming) => {
          const session = serveSession(
            incoming.accept(),
            sessionHandlers({
              host: { ...host, processes },
              builtins,
              connection,
              account: { ...own, ...account },
              policy: { ...defaultSessionPolicy, ...policy },
              endpoints: { clientAddress, clientPort, serverAddress: "127.0.0.1", serverPort: port },
              inherited: { PATH: Deno.env.get("PATH")! },
              onError: (error) => errors.push(error),
            }),
          );
          open.add(session.finally(() => open.delete(session)));
        };
      },
    });
    await connection.closed;
  }

  const accepting = (async () => {
    for await (const duplex of listener) {
      const served = serve(duplex).catch((error) => void errors.push(error)).finally(() =>
        open.delete(served)
      );
      open.add(served);
    }
  })();
  return {
    port,
    folder: site.folder.path,
    options: opensshOptions({ port, user: own.name, identity: site.key.path, knownHosts: site.knownHosts }),
    errors,
    get programs() {
      return programs;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      life.abort(new Error("the test is over"));
      await Promise.all(open);
      // One that started as its client left may outlive the session for a moment.
      await waitUntil("the end of every program", () => programs === 0);
      site[Symbol.dispose]();
    },
  };
}
