/** The certificate authority that stands alone: parse, wire, run, drain. */
import { CaError } from "../src/ca/types.ts";
import { commandLine } from "../src/deno/command_line.ts";
import { systemFiles } from "../src/deno/files.ts";
import { homeFolder } from "../src/deno/home.ts";
import { httpsClient } from "../src/deno/https_client.ts";
import { printLines, writeLine } from "../src/deno/lines.ts";
import { outliveMistakes } from "../src/deno/mistakes.ts";
import { denoNet } from "../src/deno/net.ts";
import { openDatabase } from "../src/deno/sqlite.ts";
import { checkStateFolder, openStateFolder } from "../src/deno/state.ts";
import { untilStopped } from "../src/deno/stop_signals.ts";
import { denoWeb } from "../src/deno/web.ts";
import { type AuthorityServerConfig, resolveAuthorityConfig } from "../src/gateway/authority/config.ts";
import { followAuthorityFiles, readAuthorityFiles } from "../src/gateway/authority/files.ts";
import { keepSettings, type KeptSettings, settingsHere } from "../src/gateway/authority/kept_settings.ts";
import { loadAuthorityPolicy } from "../src/gateway/authority/policy.ts";
import { AuthorityServer } from "../src/gateway/authority/server.ts";
import { authorityReadyLines } from "../src/gateway/authority/setup_text.ts";
import { runTokenCommand, type TokenCommand } from "../src/gateway/authority/token_commands.ts";
import { issuersOf } from "../src/gateway/config.ts";
import { exitCodes, type ExitReason, StartError } from "../src/gateway/exit_codes.ts";
import { explain, namingFlags } from "../src/gateway/explain.ts";
import { checkIdentityFiles } from "../src/gateway/identities.ts";
import { type IdentityServices, openIdentityServices } from "../src/gateway/identity_services.ts";
import { openKeptStore, openRecords, RECORD_LIMITS } from "../src/gateway/kept.ts";
import { readNamed } from "../src/gateway/text_file.ts";
import { trustedTokens } from "../src/gateway/trusted_tokens.ts";
import { type Identity, keyIdentity } from "../src/identity/principal.ts";
import { systemClock } from "../src/platform/clock.ts";
import { formatAddress } from "../src/platform/net.ts";
import { StateError, type StateFolder } from "../src/platform/state.ts";
import { SOFTWARE } from "../src/ssh/establish.ts";
import { Audit } from "../src/telemetry/audit.ts";
import { configureLogging, logger } from "../src/telemetry/log.ts";
import { type CaFlags, parseCaFlags, type Rotation } from "./ca_flags.ts";

async function main(args: readonly string[]): Promise<ExitReason> {
  try {
    return await run(args);
  } catch (error) {
    const [reason, sentence] = explain(error);
    await printLines(Deno.stderr, [`ca: ${sentence}`]);
    return reason;
  }
}

async function run(args: readonly string[]): Promise<ExitReason> {
  const flags = parseCaFlags(args, SOFTWARE);
  if (!flags) return "ended";
  const config = await resolve(flags);
  configureLogging({ format: config.log, write: (line) => writeLine(Deno.stderr, line) });
  if (flags.token) return await tokens(config, flags.settings, flags.token);
  if (flags.rotation) return await rotate(config, flags.settings, flags.rotation);
  if (flags.check) return await check(config);
  const state = await openStateFolder(config.state, "ca.lock");
  try {
    return await serve(config, state);
  } finally {
    state.close();
  }
}

async function resolve({ settings, config }: CaFlags): Promise<AuthorityServerConfig> {
  const path = config ?? Deno.env.get("SSHM_CONFIG");
  return resolveAuthorityConfig({
    flags: settings,
    environment: (name) => Deno.env.get(name),
    file: path === undefined ? undefined : { path, text: await readNamed(systemFiles, path) },
    defaultState: `${Deno.env.get("XDG_STATE_HOME") || `${homeFolder() ?? ""}/.local/state`}/ssh-mesh-ca`,
  });
}

async function check(config: AuthorityServerConfig): Promise<ExitReason> {
  await checkStateFolder(config.state);
  await checkIdentityFiles(systemFiles, { ...config, tls: undefined });
  await loadAuthorityPolicy(systemFiles, config.policy);
  await printLines(Deno.stdout, ["The configuration is right"]);
  return "ended";
}

async function serve(config: AuthorityServerConfig, state: StateFolder): Promise<ExitReason> {
  const log = logger("ca");
  outliveMistakes((error) => log.error("a mistake of the authority's: {error}", { error }));
  const read = await readAuthorityFiles(systemFiles, config);
  const trustDomains = issuersOf(config, []).flatMap(({ trustDomain }) => trustDomain ?? []);
  await using opened = await open(config, state, trustDomains);
  const { services, audit } = opened;
  await keepSettings(state, config);
  const ports = config.listen.map(({ port }) => port);
  const tokens = trustedTokens(config, ports, { fetch, files: systemFiles, clock: systemClock, log });
  const server = await AuthorityServer.create({
    ...read,
    config,
    services,
    tokens,
    clock: systemClock,
    net: denoNet,
    web: denoWeb,
    audit,
  });
  const following = followAuthorityFiles({
    files: systemFiles,
    clock: systemClock,
    audit,
    config,
    read,
    rootFiles: services.rootFiles,
    server,
  });
  let drained = false;
  try {
    for (const { protocols: _tls, ...address } of config.listen) {
      await namingFlags("--listen HOST:PORT", server.listen(address));
    }
    // A file that is not there, or an issuer that cannot be reached, is better told now than to the first who comes.
    void tokens?.verifier.getKeys();
    const { addresses } = server;
    audit.record("ca.started", { listen: addresses.map(formatAddress), version: SOFTWARE });
    // Before anybody can know that it runs, and end it.
    const stopped = untilStopped(async (signal, atOnce) => {
      log.info("{signal}: draining for at most {seconds} s", { signal, seconds: config.drainGrace / 1000 });
      await server.close(config.drainGrace, atOnce);
    }, () => log.info("SIGHUP is not needed: keys and rules are read again when they change"));
    const facts = {
      domain: config.domain,
      addresses,
      state: config.state,
      rootFingerprint: await server.rootFingerprint(),
      hasPolicy: config.policy !== undefined,
      commands: {
        ca: await commandLine("ssh-mesh-ca", import.meta.url),
        gateway: await commandLine("ssh-mesh-gateway", import.meta.resolve("./gateway.ts")),
      },
    };
    await printLines(Deno.stdout, authorityReadyLines(config.log, facts));
    const cut = await stopped;
    drained = true;
    audit.flush();
    audit.record("ca.stopped", {});
    return cut ? "cut" : "ended";
  } finally {
    following.stop();
    if (!drained) await server.close(0);
  }
}

/** Everything that is kept, opened. */
async function open(
  config: KeptSettings,
  state: StateFolder,
  trustDomains: readonly string[],
  recordLimits = RECORD_LIMITS,
): Promise<{ readonly services: IdentityServices; readonly audit: Audit } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const records = stack.use(await openRecords(state, "audit.jsonl", logger("ca"), recordLimits));
  const audit = new Audit({ clock: systemClock, write: records.append });
  const { store } = stack.use(await openKeptStore(state, openDatabase, systemClock));
  const services = await openIdentityServices({
    config,
    trustDomains,
    state,
    store,
    files: systemFiles,
    https: httpsClient,
    clock: systemClock,
    audit,
    hostKeys: [],
  });
  stack.defer(() => services.close());
  const all = stack.move();
  return { services, audit, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Runs beside the authority, or in its place when it does not run. */
async function tokens(
  config: AuthorityServerConfig,
  flags: CaFlags["settings"],
  command: TokenCommand,
): Promise<ExitReason> {
  const state = await openBeside(config.state);
  try {
    // The authority sets files aside; this only adds to them.
    const limits = { ...RECORD_LIMITS, maxBytes: Number.MAX_SAFE_INTEGER };
    await using opened = await open(await settingsHere(state, config, flags), state, [], limits);
    const by = { identity: localUser(), remote: "local" };
    const output = await runTokenCommand(command, opened.services.enrolment.tokens, by);
    await printLines(Deno.stdout, output.out);
    await printLines(Deno.stderr, output.err);
    return "ended";
  } finally {
    state.close();
  }
}

/** Runs in the place of the authority: its roots are in its memory while it runs. */
async function rotate(
  config: AuthorityServerConfig,
  flags: CaFlags["settings"],
  { kind, overlap }: Rotation,
): Promise<ExitReason> {
  const state = await openStateFolder(config.state, "ca.lock");
  try {
    await using opened = await open(await settingsHere(state, config, flags), state, []);
    await opened.services.rotate!(kind, overlap === undefined ? {} : { overlap });
    return "ended";
  } catch (error) {
    if (error instanceof CaError) throw new StartError("files", error.message, { cause: error });
    throw error;
  } finally {
    state.close();
  }
}

/** The folder, whether the authority has it or not; two of these commands are not at it at once. */
async function openBeside(path: string): Promise<StateFolder> {
  try {
    return await openStateFolder(path, "ca.lock");
  } catch (error) {
    if (!(error instanceof StateError && error.code === "in-use")) throw error;
    return await openStateFolder(path, "ca_token.lock");
  }
}

/** For the record: whoever may write to the state folder. */
function localUser(): Identity {
  const name = Deno.env.get("USER") || Deno.env.get("LOGNAME") || `uid ${Deno.uid()}`;
  return {
    ...keyIdentity({ fingerprint: `uid:${Deno.uid()}`, owner: true }),
    issuer: "local",
    name,
    credential: {},
  };
}

if (import.meta.main) Deno.exit(exitCodes[await main(Deno.args)].code);
