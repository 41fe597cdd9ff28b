/** The built-in server as an agent without an sshd_config runs it. */
import type { StateFolder } from "../platform/state.ts";
import type { AgentHost } from "./host.ts";
import type { BuiltInServer, ServerPolicy } from "./built_in_server.ts";
import type { AgentConfig } from "./config.ts";
import type { GatewayAuthorities } from "./gateway_authorities.ts";
import { readLoginFiles } from "./login_files.ts";
import { OwnHostKey } from "./own_host_key.ts";
import { ownPolicy } from "./own_policy.ts";

/** The built-in server, loaded by the first who asks: an agent that only waits does without its code. */
export async function builtInServer(host: AgentHost, policy: ServerPolicy): Promise<BuiltInServer> {
  const { BuiltInServer } = await import("./built_in_server.ts");
  const { crypto, clock, sessions, builtins, inherited, log, net, ownAddresses } = host;
  const forwards = { net, ownAddresses };
  return new BuiltInServer({ policy, crypto, clock, sessions, forwards, builtins, inherited, log });
}

/** The policy without an sshd_config, for who serves without a gateway. @throws {AgentError | StateError} */
export async function defaultPolicy(
  config: AgentConfig,
  host: AgentHost,
  state: StateFolder,
): Promise<ServerPolicy> {
  return (await ownServer(config, host, state)).policy;
}

/**
 * The policy of the built-in server, and the key that it proves itself with.
 * @param gateway whose users may log in
 * @throws {AgentError | StateError}
 */
export async function ownServer(
  config: AgentConfig,
  host: AgentHost,
  state: StateFolder,
  gateway?: GatewayAuthorities,
): Promise<{ readonly policy: ServerPolicy; readonly hostKey: OwnHostKey }> {
  const { files, log, clock, account, sessions } = host;
  const { login, allowDial } = config;
  const first = await readLoginFiles(login, files, log);
  const nobody = first.keys.length === 0 && login.userCas.length === 0;
  if (nobody && (config.stdio || config.exposures.some(({ target }) => target === "ssh"))) {
    log({
      event: "warning",
      message:
        "NOBODY can log in here: there is no key in --authorized-keys, ~/.ssh or SSH_AUTHORIZED_KEYS, and no " +
        "--trust-user-ca",
    });
  }
  const hostKey = await OwnHostKey.load(state);
  const policy = ownPolicy({
    account,
    findAccount: (name) => host.findAccount(name),
    sessions,
    clock,
    hostKey: () => hostKey.signer(clock.now()),
    // What was wrong with the files was said at the start.
    files: () => readLoginFiles(login, files, () => {}),
    gateway,
    principals: login.principals,
    allowDial,
  });
  return { policy, hostKey };
}
