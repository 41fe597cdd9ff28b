/** The gateway: parse, wire, run, drain. */
import { chooseCrypto } from "../src/deno/crypto.ts";
import { httpsClient } from "../src/deno/https_client.ts";
import { serveHttp } from "../src/deno/admin_http.ts";
import { systemFiles } from "../src/deno/files.ts";
import { prometheusMetrics } from "../src/deno/metrics.ts";
import { takeFairTurns } from "../src/deno/fair_turn.ts";
import { printLines, writeLine } from "../src/deno/lines.ts";
import { denoNet } from "../src/deno/net.ts";
import { openDatabase } from "../src/deno/sqlite.ts";
import { checkStateFolder, openStateFolder } from "../src/deno/state.ts";
import { onStopSignal } from "../src/deno/stop_signals.ts";
import { denoWeb } from "../src/deno/web.ts";
import { adminHandler, isLocalHost } from "../src/gateway/admin.ts";
import { type GatewayConfig, limitsWithin, resolveConfig } from "../src/gateway/config.ts";
import { exitCodes, type ExitReason, StartError } from "../src/gateway/exit_codes.ts";
import { Gateway } from "../src/gateway/gateway.ts";
import { algorithmsFor, keptKey, loadHostKeys, readPrivateKey } from "../src/gateway/host_keys.ts";
import { checkIdentityFiles, GatewayIdentities } from "../src/gateway/identities.ts";
import { ownerKeys } from "../src/gateway/keyring.ts";
import { type KeyringFiles, loadKeyring, OWNER_KEY_NAME } from "../src/gateway/keyring_files.ts";
import { JoinedGatewayTrust } from "../src/gateway/mesh/gateway_trust.ts";
import { Join } from "../src/gateway/mesh/join.ts";
import { loadPolicy } from "../src/gateway/policy_file.ts";
import { followFiles } from "../src/gateway/reload.ts";
import { configJsonSchema } from "../src/gateway/settings.ts";
import { knownHostsLine, setupText } from "../src/gateway/setup_text.ts";
import { readText } from "../src/gateway/text_file.ts";
import { describeAll } from "../src/gateway/watch.ts";
import type { PrivateKey } from "../src/keys/private_key.ts";
import { systemClock } from "../src/platform/clock.ts";
import type { CryptoProvider } from "../src/platform/crypto.ts";
import { formatAddress, NetError } from "../src/platform/net.ts";
import { type Journal, StateError, type StateFolder } from "../src/platform/state.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import { StoreError } from "../src/store/types.ts";
import { SOFTWARE } from "../src/ssh/establish.ts";
import { limitFarewells } from "../src/streams/farewell.ts";
import { Audit } from "../src/telemetry/audit.ts";
import { configureLogging, logger } from "../src/telemetry/log.ts";
import { parseFlags } from "./gateway_flags.ts";

/** Files of records in the state folder: 64 MiB each, of which eight old ones are kept. */
const JOURNAL_LIMITS = { maxBytes: 64 * 1024 * 1024, keep: 8 };

/** Clients that are told why they go and then given a moment to read it, at one time. */
const MOST_FAREWELLS = 256;

/** In the state folder: serial numbers, revocations, join tokens. */
const STORE_NAME = "store.sqlite";

/** Runs the gateway until it is asked to end. */
async function main(args: readonly string[]): Promise<ExitReason> {
  takeFairTurns();
  try {
    return await run(args);
  } catch (error) {
    const [reason, sentence] = explain(error);
    await printLines(Deno.stderr, [`gateway: ${sentence}`]);
    return reason;
  }
}

async function run(args: readonly string[]): Promise<ExitReason> {
  const flags = parseFlags(args, SOFTWARE);
  if (!flags) return "ended";
  if (flags.printSchema) {
    await printLines(Deno.stdout, [JSON.stringify(configJsonSchema(), null, 2)]);
    return "ended";
  }
  const home = Deno.env.get("HOME");
  const path = flags.config ?? Deno.env.get("SSHM_CONFIG");
  const config = resolveConfig({
    flags: flags.settings,
    environment: (name) => Deno.env.get(name),
    file: path === undefined ? undefined : { path, text: await readConfig(path) },
    defaultState: `${Deno.env.get("XDG_STATE_HOME") || `${home ?? "."}/.local/state`}/ssh-mesh`,
  });
  configureLogging({ format: config.log, write: (line) => writeLine(Deno.stderr, line) });
  // A mistake of ours over one connection must not end all the others.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    logger("gateway").error("a mistake of the gateway's: {error}", { error: event.reason });
  });
  const keys: KeyringFiles = { files: systemFiles, config, home };
  if (flags.check) {
    await check(config, keys);
    return "ended";
  }
  const state = await openStateFolder(config.state, "gateway.lock");
  try {
    return await serve(config, keys, state);
  } finally {
    state.close();
  }
}

async function check(config: GatewayConfig, keys: KeyringFiles): Promise<void> {
  await checkStateFolder(config.state);
  await checkIdentityFiles(systemFiles, config);
  const hostKeys = await Promise.all(config.hostKeys.map((path) => readPrivateKey(systemFiles, path)));
  algorithmsFor(config.ssh.algorithms, hostKeys);
  await loadPolicy(systemFiles, config.policy, config.owners);
  const { keyring, warnings } = await loadKeyring(keys);
  const owners = ownerKeys(keyring).length;
  await printLines(Deno.stdout, [...warnings, `The configuration is right; owners: ${owners}`]);
}

async function serve(config: GatewayConfig, keys: KeyringFiles, state: StateFolder): Promise<ExitReason> {
  const log = logger("gateway");
  const { provider, why } = await chooseCrypto();
  log.info("{provider}: {why}", { provider: provider.name, why });
  const hostKeys = await loadHostKeys(systemFiles, state, config.hostKeys);
  const ssh = { ...config.ssh, algorithms: algorithmsFor(config.ssh.algorithms, hostKeys) };
  const policySeen = await describeAll(systemFiles, config.policy === undefined ? [] : [config.policy]);
  const policy = await loadPolicy(systemFiles, config.policy, config.owners);

  let loaded = await loadKeyring(keys);
  let madeOwnerKey: string | undefined;
  const alone = config.authorizedKeys === undefined && loaded.keyring.known.every(({ owner }) => !owner);
  if (alone) {
    await keptKey(state, OWNER_KEY_NAME, "owner of the ssh-mesh gateway");
    loaded = await loadKeyring(keys);
  }
  const owners = ownerKeys(loaded.keyring);
  if (owners.every(({ source }) => source.startsWith(`${config.state}/`)) && !config.authorizedKeys) {
    madeOwnerKey = `${config.state}/${OWNER_KEY_NAME}`;
  }
  for (const warning of loaded.warnings) log.warn("{warning}", { warning });

  const metrics = prometheusMetrics({ process: true });
  const journal = (name: string) =>
    state.openJournal(name, {
      ...JOURNAL_LIMITS,
      onLoss: (cause) => log.error("records of {name} are being lost: {cause}", { name, cause }),
    });
  await using flows = disposable(await journal("flows.jsonl"));
  await using audit = disposable(await journal("audit.jsonl"));
  const descriptors = openFilesLimit() ?? Infinity;
  const limits = limitsWithin(config.limits, descriptors);
  limitFarewells(Math.min(MOST_FAREWELLS, Math.floor(descriptors / 32)));
  if (limits.maxClients < config.limits.maxClients) {
    const { maxClients, maxStartups } = limits;
    log.warn("for want of file descriptors at most {maxClients} clients are let in (ulimit -n)", {
      maxClients,
      maxStartups,
    });
  }
  const writeAudit = (line: string) => audit.append(line);
  const database = openDatabase(`${config.state}/${STORE_NAME}`);
  const store = await openSqliteStore(database, { clock: systemClock });
  await using _store = { [Symbol.asyncDispose]: () => store.close() };
  const identities = await GatewayIdentities.open({
    config,
    hostKeys,
    state,
    store,
    files: systemFiles,
    https: httpsClient,
    fetch,
    clock: systemClock,
    audit: new Audit({ clock: systemClock, write: writeAudit }),
  });
  using _identities = { [Symbol.dispose]: () => identities.close() };
  const gateway = await Gateway.create({
    config: { ...config, limits, ssh },
    crypto: provider,
    clock: systemClock,
    net: denoNet,
    ownAddresses,
    hostKeys,
    hostSigners: () => identities.signers,
    trust: identities.trust(loaded.keyring, config.listen),
    policy,
    authority: identities.authority,
    revocations: identities.revocations,
    rotate: identities.rotate,
    enrolment: identities.enrolment,
    https: identities.https(denoWeb, () => gateway.trust),
    metrics,
    writeFlow: (line) => flows.append(line),
    writeAudit,
  });
  await identities.start(gateway);
  const view = {
    metrics,
    loopback: config.admin !== undefined && isLocalHost(config.admin.hostname),
    get ready() {
      return gateway.ready;
    },
  };
  const admin = config.admin &&
    await naming("--admin HOST:PORT, or --admin off", serveHttp(config.admin, adminHandler(view)));
  try {
    for (const { protocols, ...address } of config.listen) {
      await naming("--listen HOST:PORT", gateway.listen(address, protocols));
    }
    // Its audiences have the ports that the system picked.
    if (config.listen.some(({ port }) => port === 0)) {
      await gateway.apply({ trust: identities.trust(gateway.trust.keyring, gateway.addresses) });
    }
    // A file that is not there, or an issuer that cannot be reached, is better told now than to the first who comes.
    void gateway.trust.tokens?.verifier.getKeys();
    const listen = gateway.addresses.map(formatAddress);
    gateway.audit.record("gateway.started", { listen, version: SOFTWARE });
    const following = followFiles({
      files: systemFiles,
      clock: systemClock,
      config,
      keys,
      keyring: loaded,
      policySeen,
      gateway,
      others: identities.followed,
    });
    const joins = await join(config, gateway, hostKeys, state, provider);
    const [address] = gateway.addresses;
    const [{ publicKey: hostKey }] = hostKeys;
    const facts = {
      address,
      domain: config.domain,
      hostKey,
      owners: await Promise.all(owners.map(async ({ entry, source }) => ({
        fingerprint: await entry.key.fingerprint(),
        source,
      }))),
      madeOwnerKey,
    };
    // Before anybody can know that it runs, and end it.
    const stopped = untilStopped(gateway, joins, config.drainGrace);
    if (config.log === "json") {
      const ready = {
        event: "ready",
        listen: listen[0],
        listeners: listen,
        admin: admin && formatAddress(admin.address),
        fingerprint: await hostKey.fingerprint(),
        known_hosts: await knownHostsLine(facts),
        owner_key: madeOwnerKey,
        state: config.state,
      };
      await printLines(Deno.stdout, [JSON.stringify(ready)]);
    } else {
      await printLines(Deno.stdout, await setupText(facts));
    }
    try {
      return await stopped;
    } finally {
      following.stop();
      await Promise.all(joins.map((joined) => joined.stop()));
    }
  } finally {
    await gateway.close("the gateway has failed");
    await admin?.close();
  }
}

/** Joins the other gateways that are configured, and stays with them. */
async function join(
  config: GatewayConfig,
  gateway: Gateway,
  hostKeys: readonly PrivateKey[],
  state: StateFolder,
  crypto: CryptoProvider,
): Promise<Join[]> {
  if (config.connect.length === 0) return [];
  const { knownHosts, identity, exports } = config;
  const text = knownHosts === undefined ? undefined : await readConfig(knownHosts);
  const trust = new JoinedGatewayTrust(text, state, systemClock);
  const signers = identity === undefined ? hostKeys : [await readPrivateKey(systemFiles, identity)];
  const instance = globalThis.crypto.randomUUID();
  return config.connect.map((address) =>
    new Join({
      address,
      parts: gateway.parts,
      crypto,
      trust,
      signers,
      instance,
      exports,
      random: Math.random,
    })
  );
}

/** Drains at the first signal, ends at the second. */
function untilStopped(gateway: Gateway, joins: readonly Join[], grace: number): Promise<ExitReason> {
  const log = logger("gateway");
  return new Promise((resolve, reject) => {
    const atOnce = new AbortController();
    let draining = false;
    const ignore = onStopSignal((signal) => {
      if (draining) return atOnce.abort();
      draining = true;
      log.info("{signal}: draining for at most {seconds} s", { signal, seconds: grace / 1000 });
      for (const joined of joins) joined.withdraw();
      gateway.drain(grace, atOnce.signal).then((cut) => {
        log.info("stopped; {cut} flows were cut", { cut });
        resolve(atOnce.signal.aborted ? "cut" : "ended");
      }, reject).finally(ignore);
    });
  });
}

/** Where it cannot be listened, the sentence names the flags that say otherwise. */
async function naming<T>(flags: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    throw new NetError(error.code, `${error.message} (${flags})`, { cause: error });
  }
}

/** Why it does not start or has failed: one sentence for whoever started it. */
function explain(error: unknown): [ExitReason, string] {
  if (error instanceof StartError) return [error.reason, error.message];
  if (error instanceof StoreError) return ["state", error.message];
  if (error instanceof StateError) return ["state", error.message];
  if (error instanceof NetError) return ["address", error.message];
  return ["failed", error instanceof Error ? error.stack ?? error.message : String(error)];
}

/** Files and sockets that this process may have open, where the system tells. */
function openFilesLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits")) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

function ownAddresses(): readonly string[] {
  try {
    return Deno.networkInterfaces().map(({ address }) => address);
  } catch {
    // Without --allow-sys only loopback is known to be this machine.
    return [];
  }
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readText(systemFiles, path);
  } catch (cause) {
    throw new StartError("files", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function disposable(journal: Journal) {
  return { append: (line: string) => journal.append(line), [Symbol.asyncDispose]: () => journal.close() };
}

if (import.meta.main) Deno.exit(exitCodes[await main(Deno.args)].code);
