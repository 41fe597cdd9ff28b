/** The certificate authority that stands alone: parse, wire, run, drain. */
import { CaError } from "../src/ca/types.ts";
import { commandLine } from "../src/deno/command_line.ts";
import { systemFiles } from "../src/deno/files.ts";
import { httpsClient } from "../src/deno/https_client.ts";
import { printLines, writeLine } from "../src/deno/lines.ts";
import { denoNet } from "../src/deno/net.ts";
import { openDatabase } from "../src/deno/sqlite.ts";
import { checkStateFolder, openStateFolder } from "../src/deno/state.ts";
import { onStopSignal } from "../src/deno/stop_signals.ts";
import { denoWeb } from "../src/deno/web.ts";
import { type AuthorityServerConfig, resolveAuthorityConfig } from "../src/gateway/authority/config.ts";
import { followAuthorityFiles } from "../src/gateway/authority/follow.ts";
import { keepSettings, keptSettings } from "../src/gateway/authority/kept_settings.ts";
import { loadAuthorityPolicy } from "../src/gateway/authority/policy.ts";
import { AuthorityServer } from "../src/gateway/authority/server.ts";
import { authoritySetupText, authorityUrl } from "../src/gateway/authority/setup_text.ts";
import { runTokenCommand, type TokenCommand } from "../src/gateway/authority/token_commands.ts";
import { issuersOf } from "../src/gateway/config.ts";
import { exitCodes, type ExitReason, StartError } from "../src/gateway/exit_codes.ts";
import { checkIdentityFiles } from "../src/gateway/identities.ts";
import { type IdentityServices, openIdentityServices } from "../src/gateway/identity_services.ts";
import { readText } from "../src/gateway/text_file.ts";
import { describeAll } from "../src/gateway/watch.ts";
import { readX509Files } from "../src/gateway/x509_clients.ts";
import { type Identity, keyIdentity } from "../src/identity/principal.ts";
import { tokenVerifier } from "../src/identity/token/mod.ts";
import { systemClock } from "../src/platform/clock.ts";
import { formatAddress, NetError, type TcpAddress } from "../src/platform/net.ts";
import { StateError, type StateFolder } from "../src/platform/state.ts";
import { SOFTWARE } from "../src/ssh/establish.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import { StoreError } from "../src/store/types.ts";
import { Audit } from "../src/telemetry/audit.ts";
import { configureLogging, logger } from "../src/telemetry/log.ts";
import { type CaFlags, parseCaFlags, type Rotation } from "./ca_flags.ts";

/** Files of records in the state folder: 64 MiB each, of which eight old ones are kept. */
const JOURNAL_LIMITS = { maxBytes: 64 * 1024 * 1024, keep: 8 };
/** In the state folder: serial numbers, revocations, join tokens. */
const STORE_NAME = "store.sqlite";

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
    file: path === undefined ? undefined : { path, text: await readConfig(path) },
    defaultState: `${
      Deno.env.get("XDG_STATE_HOME") || `${Deno.env.get("HOME") ?? "."}/.local/state`
    }/ssh-mesh-ca`,
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
  // A mistake of ours over one connection must not end all the others.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("a mistake of the authority's: {error}", { error: event.reason });
  });
  const paths = config.policy === undefined ? [] : [config.policy];
  const policySeen = await describeAll(systemFiles, paths);
  const policy = await loadAuthorityPolicy(systemFiles, config.policy);
  const x509Seen = await describeAll(systemFiles, config.x509Roots.map(({ file }) => file));
  const readRoots = () => readX509Files(systemFiles, config.x509Roots);
  const roots = await readRoots();
  const trustDomains = issuersOf(config, []).flatMap(({ trustDomain }) => trustDomain ?? []);
  const keysSeen = await describeAll(systemFiles, config.ca.keys.map(({ path }) => path));
  await using opened = await open(config, state, trustDomains);
  const { services, audit } = opened;
  // Folders stand for files in them.
  const inside = await describeAll(systemFiles, services.rootFiles?.paths ?? []);
  const rootsSeen = new Map([...inside, ...keysSeen]);
  await keepSettings(state, config);
  const tokens = tokensOf(config);
  const server = await AuthorityServer.create({
    config,
    services,
    policy,
    roots,
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
    policy: config.policy,
    onPolicy: (policy) => server.replacePolicy(policy),
    policySeen,
    others: [
      {
        what: "roots of client certificates",
        seen: x509Seen,
        reload: async () => server.replaceRoots(await readRoots()),
      },
      ...services.rootFiles
        ? [{ what: "roots of the authority", seen: rootsSeen, reload: services.rootFiles.reload }]
        : [],
    ],
  });
  let drained = false;
  try {
    for (const { protocols: _tls, ...address } of config.listen) await listenAt(server, address);
    // A file that is not there, or an issuer that cannot be reached, is better told now than to the first who comes.
    void tokens?.verifier.getKeys();
    const listen = server.addresses.map(formatAddress);
    audit.record("ca.started", { listen, version: SOFTWARE });
    const facts = {
      domain: config.domain,
      port: server.addresses[0].port,
      state: config.state,
      rootFingerprint: await server.rootFingerprint(),
      hasPolicy: config.policy !== undefined,
      commands: {
        ca: await commandLine("ssh-mesh-ca", import.meta.url),
        gateway: await commandLine("ssh-mesh-gateway", import.meta.resolve("./gateway.ts")),
      },
    };
    const ready = {
      event: "ready",
      listen: listen[0],
      listeners: listen,
      url: authorityUrl(facts),
      root_fingerprint: facts.rootFingerprint,
      state: config.state,
    };
    // Before anybody can know that it runs, and end it.
    const stopped = untilStopped(async (signal) => {
      log.info("{signal}: draining for at most {seconds} s", { signal, seconds: config.drainGrace / 1000 });
      await server.close(config.drainGrace);
    });
    await printLines(
      Deno.stdout,
      config.log === "json" ? [JSON.stringify(ready)] : authoritySetupText(facts),
    );
    const cut = await stopped;
    drained = true;
    audit.record("ca.stopped", {});
    return cut ? "cut" : "ended";
  } finally {
    following.stop();
    if (!drained) await server.close(0);
  }
}

/** Everything that is kept, opened. */
async function open(
  config: Pick<AuthorityServerConfig, "ca" | "domain" | "trustDomain">,
  state: StateFolder,
  trustDomains: readonly string[],
  journalLimits: typeof JOURNAL_LIMITS = JOURNAL_LIMITS,
): Promise<{ readonly services: IdentityServices; readonly audit: Audit } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const journal = await state.openJournal("audit.jsonl", {
    ...journalLimits,
    onLoss: (cause) => logger("ca").error("records are being lost: {cause}", { cause }),
  });
  stack.defer(() => journal.close());
  const audit = new Audit({ clock: systemClock, write: (line) => journal.append(line) });
  const store = await openSqliteStore(openDatabase(`${state.path}/${STORE_NAME}`), { clock: systemClock });
  stack.defer(() => store.close());
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

function tokensOf(config: AuthorityServerConfig) {
  const issuers = issuersOf(config, config.listen.map(({ port }) => port));
  if (issuers.length === 0) return undefined;
  const verifier = tokenVerifier(issuers, {
    fetch,
    readFile: (path) => readText(systemFiles, path),
    clock: systemClock,
    trustDomains: [config.trustDomain, ...config.x509Roots.flatMap(({ trustDomain }) => trustDomain ?? [])],
    domains: [config.domain],
    onOutage: (reason) => logger("ca").warn("{reason}", { reason }),
  });
  return { verifier, issuers: new Set(issuers.map(({ issuer }) => issuer)) };
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
    const limits = { ...JOURNAL_LIMITS, maxBytes: Number.MAX_SAFE_INTEGER };
    await using opened = await open(await ownConfig(config, flags, state), state, [], limits);
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
    await using opened = await open(await ownConfig(config, flags, state), state, []);
    await opened.services.rotate!(kind, overlap === undefined ? {} : { overlap });
    return "ended";
  } catch (error) {
    if (error instanceof CaError) throw new StartError("files", error.message, { cause: error });
    throw error;
  } finally {
    state.close();
  }
}

/** As the authority of this folder runs, where one ever did. @throws {StartError} `usage` when flags say otherwise */
async function ownConfig(config: AuthorityServerConfig, flags: CaFlags["settings"], state: StateFolder) {
  const kept = await keptSettings(state);
  if (kept && flags.domain !== undefined && kept.domain !== config.domain) {
    throw new StartError("usage", `--domain: the authority here is ${kept.domain}`);
  }
  return kept ?? config;
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

/** Drains at the first signal, ends at the second. @returns whether it was the second */
function untilStopped(drain: (signal: string) => Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let draining = false;
    const ignore = onStopSignal((signal) => {
      if (draining) return end(true);
      draining = true;
      drain(signal).then(() => end(false), reject);
    });
    const end = (cut: boolean) => {
      ignore();
      resolve(cut);
    };
  });
}

/** Where it cannot be listened, the sentence names the flag that says otherwise. */
async function listenAt(server: AuthorityServer, address: TcpAddress): Promise<void> {
  try {
    await server.listen(address);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    throw new NetError(error.code, `${error.message} (--listen HOST:PORT)`, { cause: error });
  }
}

/** Why it does not start or has failed: one sentence for whoever started it. */
function explain(error: unknown): [ExitReason, string] {
  if (error instanceof StartError) return [error.reason, error.message];
  if (error instanceof StoreError || error instanceof StateError) return ["state", error.message];
  if (error instanceof NetError) return ["address", error.message];
  return ["failed", error instanceof Error ? error.stack ?? error.message : String(error)];
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readText(systemFiles, path);
  } catch (cause) {
    throw new StartError("files", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

if (import.meta.main) Deno.exit(exitCodes[await main(Deno.args)].code);
