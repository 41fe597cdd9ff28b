/** Certificates that gateways give an agent: for its server's host key, and to log in with. */
import { decodeText, EMPTY, encodeText } from "../bytes/bytes.ts";
import { FOREVER } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { StateFolder } from "../platform/state.ts";
import { deferred } from "../streams/deferred.ts";
import { untilAborted } from "../streams/until_aborted.ts";
import type { EventLog } from "./events.ts";
import { formatGateway } from "./gateway_address.ts";
import { GatewayRefusal } from "./gateway_command.ts";
import type { GatewayLink } from "./gateway_link.ts";
import { keepLoginCertificate, readIssued } from "./login_certificate.ts";
import type { OwnHostKey } from "./own_host_key.ts";
import { keepRenewed } from "./renewal.ts";

/** What a gateway's no is worth: after this its rules may be others, in milliseconds. */
const REFUSED_RETRY_MS = 15 * 60_000;

/** A new authority is followed within this time, in milliseconds, and not by all agents at once. */
const ROTATION_SPREAD_MS = 30_000;

/** A gateway to ask: `GatewayLink` is one. */
export type CertificateSource = Pick<GatewayLink, "gateway" | "ask" | "closed" | "drained" | "onTrustChange">;

export interface CertificateOptions {
  /** Of the built-in server; undefined: nobody reaches one here. */
  readonly hostKey?: OwnHostKey;
  /** What certificates to log in with are for; undefined: none are needed. */
  readonly loginKey?: Signer;
  readonly state: StateFolder;
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly log: EventLog;
  /** Sentences that were said already. */
  readonly said: Set<string>;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Gets them now and keeps them new, until the link has ended or is about to: the next one does it then. While nothing can
 * be had, what there is goes on until it expires. Never rejects.
 */
export async function keepCertificates(link: CertificateSource, options: CertificateOptions): Promise<void> {
  const { hostKey, loginKey, state, signal } = options;
  const over = new AbortController();
  link.closed.then(() => over.abort(new Error("the link has ended")));
  link.drained.then(() => over.abort(new Error("the link is to end")));
  const either = AbortSignal.any([signal, over.signal]);
  const kinds: Kind[] = [];
  /** Who waits for news of the gateway's authorities. */
  const waiting = new Set<() => void>();
  link.onTrustChange(() => waiting.forEach((wake) => wake()));
  if (hostKey) {
    kinds.push({
      role: "host",
      what: "the host key",
      command: "cert --host",
      key: hostKey.key,
      use: (certificate) => hostKey.certify(certificate, link.gateway),
      until: () => hostKey.certifiedUntil,
      outdated: (signal) => untilAnotherSigns(link, hostKey, waiting, options, signal),
    });
  }
  if (loginKey) {
    let until: number | undefined;
    kinds.push({
      role: "user",
      what: "the key to log in with",
      command: "cert",
      key: loginKey,
      use: async (certificate) => {
        await keepLoginCertificate(state, certificate, link.gateway);
        until = Number(certificate.validBefore) * 1000;
      },
      until: () => until,
    });
  }
  await Promise.all(kinds.map((kind) => keepOne(link, kind, options, either)));
}

interface Kind {
  readonly role: Certificate["role"];
  readonly what: string;
  readonly command: string;
  readonly key: Signer;
  use(certificate: Certificate): Promise<void>;
  /** Of what is in use, in milliseconds since 1970. */
  until(): number | undefined;
  /** As that of `RenewalOptions`. */
  outdated?(signal: AbortSignal): Promise<void>;
}

/**
 * Resolves some time after the gateway has begun to sign host certificates with another key: the one that signed this
 * agent's may soon be dropped.
 */
async function untilAnotherSigns(
  link: CertificateSource,
  hostKey: OwnHostKey,
  waiting: Set<() => void>,
  { clock, random }: CertificateOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const news = deferred();
    waiting.add(news.resolve);
    await untilAborted(news.promise, signal).finally(() => waiting.delete(news.resolve));
    // Where that cannot be asked now, renewal at its time will do.
    const answer = await link.ask("ca host", { signal }).catch(() => undefined);
    const [first] = decodeText(answer ?? EMPTY).split("\n");
    if (!first || hostKey.isSignedBy(parsePublicKeyLine(first).key)) continue;
    await clock.sleep(random() * ROTATION_SPREAD_MS, signal);
    return;
  }
}

async function keepOne(
  link: CertificateSource,
  kind: Kind,
  { clock, random, log, said }: CertificateOptions,
  signal: AbortSignal,
): Promise<void> {
  const gateway = formatGateway(link.gateway);
  const { role, what, command, key } = kind;
  let expiryTold = false;
  await keepRenewed({
    clock,
    random,
    signal,
    ...(kind.outdated && { outdated: (signal: AbortSignal) => kind.outdated!(signal) }),
    async obtain(signal) {
      const input = encodeText(`${formatPublicKey(key.publicKey)}\n`);
      const certificate = readIssued(await link.ask(command, { input, signal }), role, key);
      if (Number(certificate.validBefore) * 1000 <= clock.now()) {
        throw new Error("it has expired already: is this machine's clock right?");
      }
      await kind.use(certificate);
      const { principals, serial, validBefore } = certificate;
      log({
        event: "certificate",
        gateway,
        role,
        principals,
        serial: serial.toString(),
        ...(validBefore !== FOREVER && { expires: new Date(Number(validBefore) * 1000).toISOString() }),
      });
      expiryTold = false;
      return certificate;
    },
    onFailure(error, failures) {
      const reason = error instanceof Error ? error.message : String(error);
      const until = kind.until();
      const lasting = error instanceof GatewayRefusal && error.lasting;
      if (lasting && until === undefined) {
        const message = `${gateway} gives no certificate for ${what}: ${reason}`;
        if (!said.has(message)) log({ event: "info", message });
        said.add(message);
        return REFUSED_RETRY_MS;
      }
      const expired = until !== undefined && until <= clock.now();
      if (failures === 1 || (expired && !expiryTold)) {
        const state = until === undefined
          ? "there is none yet"
          : `the one there is ${expired ? "expired" : "expires"} at ${new Date(until).toISOString()}`;
        log({ event: "warning", message: `${gateway}: no new certificate for ${what}: ${reason}; ${state}` });
        expiryTold = expired;
      }
      return lasting ? REFUSED_RETRY_MS : undefined;
    },
  });
}
