/** Whether a gateway is the one that is meant: its host key against what is known of it. */
import { decodeText, encodeText, equal } from "../bytes/bytes.ts";
import { checkCertificate } from "../cert/check.ts";
import {
  changeHostKeys,
  formatKnownHost,
  hostName,
  type HostVerdict,
  type KnownHosts,
  lookUpHost,
  parseKnownHosts,
} from "../keys/known_hosts.ts";
import type { PublicKey } from "../keys/types.ts";
import type { StateFolder } from "../platform/state.ts";
import type { ProvenHostKey } from "../ssh/transport/host_key.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";

/** Keys believed because they were the first, in the format of known_hosts. */
const PINS = "agent_known_hosts";

/** Keys and authorities of gateways that a join token vouched for, in the same format. */
const JOINED = "agent_joined_known_hosts";

/** What the user said about whom to believe. */
export interface TrustAnchors {
  /** Files that were named; undefined: none was. */
  readonly knownHosts?: { readonly paths: readonly string[]; readonly hosts: KnownHosts };
  /** `SHA256:…` */
  readonly fingerprints: readonly string[];
  /** What a join token says: fingerprints of the gateway's host keys, and of the authorities that certify them. */
  readonly joinToken?: { readonly hosts: readonly string[] };
}

/** What a gateway is to get once it is believed. */
export interface TrustNeed {
  /** A secret that whoever reads it could use: being the first key is not enough. */
  readonly secret?: boolean;
}

/** Judges host keys and keeps the pins. A key that differs from what is known is never accepted, whatever else holds. */
export class GatewayTrust {
  readonly #anchors: TrustAnchors;
  readonly #state: StateFolder;
  readonly #now: () => number;
  readonly #log: EventLog;

  constructor(anchors: TrustAnchors, state: StateFolder, now: () => number, log: EventLog) {
    this.#anchors = anchors;
    this.#state = state;
    this.#now = now;
    this.#log = log;
  }

  /** Whether this gateway's keys are believed because the first one was: only then do its announcements change pins. */
  get pins(): boolean {
    return this.#anchors.knownHosts === undefined && this.#anchors.fingerprints.length === 0;
  }

  /** Whether anything but being the first can make this gateway believed. */
  async isAnchored(gateway: GatewayAddress): Promise<boolean> {
    if (!this.pins || (this.#anchors.joinToken?.hosts.length ?? 0) > 0) return true;
    return (await this.#known(JOINED, gateway)).length > 0;
  }

  /**
   * For who has a secret to send: without an anchor it need not even be read.
   * @throws {AgentError} `unknownGateway`
   */
  async requireAnchor(gateway: GatewayAddress, what: string): Promise<void> {
    if (await this.isAnchored(gateway)) return;
    throw new AgentError(
      "unknownGateway",
      `${what} goes to no gateway that is trusted only because its key was the first: say --known-hosts or ` +
        `--gateway-key for ${formatGateway(gateway)}`,
    );
  }

  /**
   * Resolves when the key is believed.
   * @throws {AgentError} `hostKey` when it is another one than expected, `unknownGateway` when nothing is known, or not
   * enough for a secret
   */
  async verify(
    gateway: GatewayAddress,
    shown: ProvenHostKey,
    { secret = false }: TrustNeed = {},
  ): Promise<void> {
    const where = formatGateway(gateway);
    const fingerprint = await shown.key.fingerprint();
    const { fingerprints, knownHosts } = this.#anchors;
    const verdict = knownHosts && (await this.#judge(knownHosts.hosts, gateway, shown)).verdict;
    const files = knownHosts?.paths.join(", ");
    if (verdict === "revoked") throw changed(gateway, fingerprint, files!, verdict);
    if (fingerprints.includes(fingerprint) || verdict === "known") return;
    if (verdict === "changed") throw changed(gateway, fingerprint, files!, verdict);
    if (fingerprints.length > 0) {
      throw new AgentError(
        "hostKey",
        `${where} has the host key ${fingerprint}, not the one that --gateway-key names: ` +
          "somebody may be in between, or the gateway has a new key",
      );
    }
    if (knownHosts) {
      throw new AgentError("unknownGateway", `${where} is not in ${files}: its host key is ${fingerprint}`);
    }
    // Who says --known-hosts or --gateway-key means those alone.
    if (await this.#verifyByJoin(gateway, shown, fingerprint)) return;
    if (this.#anchors.joinToken?.hosts.length) {
      throw new AgentError(
        "hostKey",
        `${where} has the host key ${fingerprint}, which is none that the join token names: somebody may be in between, ` +
          "or the token is another gateway's",
      );
    }
    if (secret) await this.requireAnchor(gateway, "a token");
    await this.#verifyByPin(gateway, shown, fingerprint);
  }

  /**
   * Pins what a gateway announced as all of its keys, each of them proven or pinned already; others of it are forgotten.
   * Without pins it does nothing.
   */
  async rotate(gateway: GatewayAddress, keys: readonly PublicKey[]): Promise<void> {
    if (!this.pins) return;
    const file = (await this.#known(JOINED, gateway)).length > 0 ? JOINED : PINS;
    const text = await this.#read(file);
    const known = await this.known(gateway);
    const lacks = (list: readonly PublicKey[], key: PublicKey) =>
      !list.some(({ blob }) => equal(blob, key.blob));
    const add = keys.filter((key) => lacks(known, key));
    const remove = known.filter((key) => lacks(keys, key));
    if (add.length === 0 && remove.length === 0) return;
    const { hostname, port } = gateway;
    await this.#state.write(file, encodeText(await changeHostKeys(text, hostname, port, { add, remove })));
    for (const key of add) {
      const message = `${formatGateway(gateway)} has another host key: ${await key.fingerprint()}`;
      this.#log({ event: "info", message });
    }
  }

  /** Keys that are known for the gateway, from the files that were named, or a join token's, or else pinned. */
  async known(gateway: GatewayAddress): Promise<PublicKey[]> {
    const { knownHosts } = this.#anchors;
    if (knownHosts) return await knownIn(knownHosts.hosts, gateway);
    const joined = await this.#known(JOINED, gateway);
    return joined.length > 0 ? joined : await this.#known(PINS, gateway);
  }

  async #known(file: string, gateway: GatewayAddress): Promise<PublicKey[]> {
    return await knownIn(parseKnownHosts(await this.#read(file)), gateway);
  }

  /**
   * Whether a join token vouches for the key, or one did when this agent enrolled.
   * @throws {AgentError} `hostKey` when the gateway had other keys then
   */
  async #verifyByJoin(gateway: GatewayAddress, shown: ProvenHostKey, fingerprint: string): Promise<boolean> {
    const text = await this.#read(JOINED);
    const { verdict } = await this.#judge(parseKnownHosts(text), gateway, shown);
    if (verdict === "known") return true;
    const { joinToken } = this.#anchors;
    if (joinToken && await this.#isVouched(joinToken.hosts, gateway, shown, fingerprint)) {
      await this.#keepJoined(text, gateway, shown);
      return true;
    }
    if (verdict === "unknown" || verdict === "authority") return false;
    throw changed(gateway, fingerprint, `${this.#state.path}/${JOINED}`, verdict);
  }

  /** The key itself is named, or the authority whose certificate says that this is the gateway. */
  async #isVouched(
    hosts: readonly string[],
    { hostname }: GatewayAddress,
    { certificate }: ProvenHostKey,
    fingerprint: string,
  ): Promise<boolean> {
    if (hosts.includes(fingerprint)) return true;
    if (!certificate || !hosts.includes(await certificate.signatureKey.fingerprint())) return false;
    // The authority signs for nodes as well: only the name that is dialled tells the gateway from them.
    const fault = await checkCertificate(certificate, {
      role: "host",
      principals: [hostname],
      now: this.#now(),
      trusted: () => true,
    });
    return fault === undefined;
  }

  /** From now on the gateway is known without the token. */
  async #keepJoined(text: string, gateway: GatewayAddress, shown: ProvenHostKey): Promise<void> {
    const { hostname, port } = gateway;
    const { key, certificate } = shown;
    let next = await changeHostKeys(text, hostname, port, { add: [key], remove: [] });
    if (
      certificate && this.#anchors.joinToken!.hosts.includes(await certificate.signatureKey.fingerprint())
    ) {
      const hosts = hostName(hostname, port);
      const line = await formatKnownHost(hosts, certificate.signatureKey, { marker: "cert-authority" });
      if (!next.split("\n").includes(line)) next += `${line}\n`;
    }
    await this.#state.write(JOINED, encodeText(next));
  }

  async #verifyByPin(gateway: GatewayAddress, shown: ProvenHostKey, fingerprint: string): Promise<void> {
    const text = await this.#read(PINS);
    const { hostname, port } = gateway;
    const where = formatGateway(gateway);
    const { verdict } = await lookUpHost(parseKnownHosts(text), hostname, port, { key: shown.key });
    if (verdict === "known") return;
    if (verdict !== "unknown") throw changed(gateway, fingerprint, `${this.#state.path}/${PINS}`, verdict);
    const next = await changeHostKeys(text, hostname, port, { add: [shown.key], remove: [] });
    await this.#state.write(PINS, encodeText(next));
    this.#log({ event: "pinned", gateway: where, fingerprint });
  }

  async #judge(hosts: KnownHosts, gateway: GatewayAddress, shown: ProvenHostKey): Promise<HostVerdict> {
    const { key, certificate } = shown;
    const { hostname, port } = gateway;
    const verdict = await lookUpHost(hosts, hostname, port, { key, authority: certificate?.signatureKey });
    if (verdict.verdict !== "authority") return verdict;
    const fault = await checkCertificate(certificate!, {
      role: "host",
      principals: [hostname],
      now: this.#now(),
      trusted: () => true,
    });
    if (!fault) return { ...verdict, verdict: "known" };
    // The certificate does not count; the key itself may still be known.
    const plain = await lookUpHost(hosts, hostname, port, { key });
    if (plain.verdict !== "known") {
      this.#log({ event: "warning", message: `the host certificate of ${formatGateway(gateway)}: ${fault}` });
    }
    return plain;
  }

  async #read(file: string): Promise<string> {
    return decodeText(await this.#state.read(file) ?? new Uint8Array());
  }
}

/** Plain keys of the gateway. */
async function knownIn(hosts: KnownHosts, { hostname, port }: GatewayAddress): Promise<PublicKey[]> {
  const known: PublicKey[] = [];
  for (const entry of hosts.entries) {
    const alone = { entries: [entry], faults: [] };
    if ((await lookUpHost(alone, hostname, port, { key: entry.key })).verdict === "known") {
      known.push(entry.key);
    }
  }
  return known;
}

/** @param files paths between commas */
function changed(
  gateway: GatewayAddress,
  fingerprint: string,
  files: string,
  verdict: HostVerdict["verdict"],
): AgentError {
  const name = hostName(gateway.hostname, gateway.port);
  const removal = files.includes(",") ? "" : ` (ssh-keygen -R '${name}' -f ${files})`;
  const what = verdict === "revoked"
    ? `shows the host key ${fingerprint}, which is revoked in ${files}`
    : `shows another host key (${fingerprint}) than the one in ${files}: somebody may be in between, or the gateway ` +
      `was made anew; if you know that it was, take its line out there${removal}`;
  return new AgentError("hostKey", `${formatGateway(gateway)} ${what}`);
}
