/** The gateway: parse, wire, run, drain. */
import { commandLine } from "../src/deno/command_line.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { homeFolder } from "../src/deno/home.ts";
import { httpsClient } from "../src/deno/https_client.ts";
import { serveHttp } from "../src/deno/admin_http.ts";
import { systemFiles } from "../src/deno/files.ts";
import { prometheusMetrics } from "../src/deno/metrics.ts";
import { takeFairTurns } from "../src/deno/fair_turn.ts";
import { openFilesLimit } from "../src/deno/descriptors.ts";
import { printLines, writeLine } from "../src/deno/lines.ts";
import { outliveMistakes } from "../src/deno/mistakes.ts";
import { denoNet } from "../src/deno/net.ts";
import { ownAddresses } from "../src/deno/own_addresses.ts";
import { openDatabase } from "../src/deno/sqlite.ts";
import { checkStateFolder, openStateFolder } from "../src/deno/state.ts";
import { untilStopped } from "../src/deno/stop_signals.ts";
import { denoWeb } from "../src/deno/web.ts";
import { adminHandler, isLocalHost } from "../src/gateway/admin.ts";
import { type GatewayConfig, resolveConfig } from "../src/gateway/config.ts";
import { exitCodes, type ExitReason } from "../src/gateway/exit_codes.ts";
import { explain, namingFlags } from "../src/gateway/explain.ts";
import { Gateway } from "../src/gateway/gateway.ts";
import { algorithmsFor, loadHostKeys, readPrivateKey } from "../src/gateway/host_keys.ts";
import { checkIdentityFiles, GatewayIdentities } from "../src/gateway/identities.ts";
import { ownerKeys } from "../src/gateway/keyring.ts";
import { openKeptStore, openRecords } from "../src/gateway/kept.ts";
import { type KeyringFiles, loadKeyring, loadOrMakeOwners } from "../src/gateway/keyring_files.ts";
import { fitLimits } from "../src/gateway/limits.ts";
import { Joins } from "../src/gateway/mesh/joins.ts";
import { loadPolicy } from "../src/gateway/policy_file.ts";
import { followFiles } from "../src/gateway/reload.ts";
import { configJsonSchema } from "../src/gateway/settings.ts";
import { readyLines } from "../src/gateway/setup_text.ts";
import { readNamed } from "../src/gateway/text_file.ts";
import { describeAll } from "../src/gateway/watch.ts";
import { systemClock } from "../src/platform/clock.ts";
import { formatAddress, type TcpAddress } from "../src/platform/net.ts";
import type { StateFolder } from "../src/platform/state.ts";
import { SOFTWARE } from "../src/ssh/establish.ts";
import { Audit } from "../src/telemetry/audit.ts";
import { configureLogging, logger } from "../src/telemetry/log.ts";
import type { Metrics } from "../src/telemetry/metrics.ts";
import { parseFlags } from "./gateway_flags.ts";

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
  const home = homeFolder();
  const path = flags.config ?? Deno.env.get("SSHM_CONFIG");
  const config = resolveConfig({
    flags: flags.settings,
    environment: (name) => Deno.env.get(name),
    file: path === undefined ? undefined : { path, text: await readNamed(systemFiles, path) },
    defaultState: `${Deno.env.get("XDG_STATE_HOME") || `${home ?? ""}/.local/state`}/ssh-mesh`,
  });
  configureLogging({ format: config.log, write: (line) => writeLine(Deno.stderr, line) });
  outliveMistakes((error) => logger("gateway").error("a mistake of the gateway's: {error}", { error }));
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
  log.info("cryptography: {provider} ({why})", { provider: provider.name, why });
  const hostKeys = await loadHostKeys(systemFiles, state, config.hostKeys);
  const ssh = { ...config.ssh, algorithms: algorithmsFor(config.ssh.algorithms, hostKeys) };
  const policySeen = await describeAll(systemFiles, config.policy === undefined ? [] : [config.policy]);
  const policy = await loadPolicy(systemFiles, config.policy, config.owners);
  const { loaded, madeOwnerKey } = await loadOrMakeOwners(keys, state);
  for (const warning of loaded.warnings) log.warn("{warning}", { warning });

  await using flows = await openRecords(state, "flows.jsonl", log);
  await using audit = await openRecords(state, "audit.jsonl", log);
  const limits = fitLimits(config.limits, openFilesLimit());
  await using kept = await openKeptStore(state, openDatabase, systemClock);
  using identities = await GatewayIdentities.open({
    config,
    hostKeys,
    state,
    store: kept.store,
    files: systemFiles,
    https: httpsClient,
    fetch,
    clock: systemClock,
    audit: new Audit({ clock: systemClock, write: audit.append }),
  });
  const metrics = prometheusMetrics({ process: true });
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
    writeFlow: flows.append,
    writeAudit: audit.append,
  });
  await identities.start(gateway);
  const admin = await serveAdmin(config.admin, metrics, gateway);
  try {
    await listen(gateway, identities, config);
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
    const { parts } = gateway;
    const joins = await Joins.begin({ config, parts, files: systemFiles, state, crypto: provider, hostKeys });
    // Before anybody can know that it runs, and end it.
    const stopped = untilDrained(gateway, joins, config);
    const facts = {
      addresses: gateway.addresses,
      admin: admin?.address,
      domain: config.domain,
      hostKey: hostKeys[0].publicKey,
      state: config.state,
      owners: ownerKeys(loaded.keyring),
      madeOwnerKey,
      agent: await commandLine("ssh-mesh-agent", import.meta.resolve("./agent.ts")),
    };
    await printLines(Deno.stdout, await readyLines(config.log, facts));
    try {
      return await stopped;
    } finally {
      following.stop();
      await joins.stop();
    }
  } finally {
    await gateway.close("the gateway has failed");
    await admin?.close();
  }
}

/** Begins to accept, everywhere that is configured. */
async function listen(gateway: Gateway, identities: GatewayIdentities, config: GatewayConfig): Promise<void> {
  for (const { protocols, ...address } of config.listen) {
    await namingFlags("--listen HOST:PORT", gateway.listen(address, protocols));
  }
  await identities.listening(gateway);
  const addresses = gateway.addresses.map(formatAddress);
  gateway.audit.record("gateway.started", { listen: addresses, version: SOFTWARE });
}

async function untilDrained(
  gateway: Gateway,
  joins: Joins,
  { drainGrace }: GatewayConfig,
): Promise<ExitReason> {
  const log = logger("gateway");
  const cut = await untilStopped(async (signal, atOnce) => {
    log.info("{signal}: draining for at most {seconds} s", { signal, seconds: drainGrace / 1000 });
    joins.withdraw();
    const count = await gateway.drain(drainGrace, atOnce);
    log.info("stopped; flows that were cut: {cut}", { cut: count });
  }, () => log.info("SIGHUP is not needed: keys and rules are read again when they change"));
  return cut ? "cut" : "ended";
}

/** Metrics, health and readiness of `gateway`, where they are wanted. */
async function serveAdmin(address: TcpAddress | undefined, metrics: Metrics, gateway: Gateway) {
  if (!address) return undefined;
  const view = {
    metrics,
    loopback: isLocalHost(address.hostname),
    get ready() {
      return gateway.ready;
    },
  };
  return await namingFlags("--admin HOST:PORT, or --admin off", serveHttp(address, adminHandler(view)));
}

if (import.meta.main) Deno.exit(exitCodes[await main(Deno.args)].code);
