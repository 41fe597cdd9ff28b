/** The issuers whose tokens let in, from the configuration. */
import { tokenVerifier } from "../identity/token/mod.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import type { Logger } from "../telemetry/log.ts";
import { type GatewayConfig, issuersOf } from "./config.ts";
import { readText } from "./text_file.ts";
import type { TrustedTokens } from "./trust.ts";

export interface TokenSurroundings {
  /** For the keys of issuers. */
  readonly fetch: typeof globalThis.fetch;
  readonly files: Files;
  readonly clock: Clock;
  /** Told that keys cannot be had. */
  readonly log: Logger;
}

/**
 * Undefined where no issuer is trusted.
 * @param ports that tokens are for, as in {@link issuersOf}
 * @throws {StartError} as {@link issuersOf}
 */
export function trustedTokens(
  config: Pick<GatewayConfig, "issuers" | "domain" | "trustDomain" | "userCas" | "x509Roots">,
  ports: readonly number[],
  { fetch, files, clock, log }: TokenSurroundings,
): TrustedTokens | undefined {
  const issuers = issuersOf(config, ports);
  if (issuers.length === 0) return undefined;
  const others = [...config.userCas, ...config.x509Roots].flatMap(({ trustDomain }) => trustDomain ?? []);
  const verifier = tokenVerifier(issuers, {
    fetch,
    readFile: (path) => readText(files, path),
    clock,
    trustDomains: [config.trustDomain, ...others],
    domains: [config.domain],
    onOutage: (reason) => log.warn("{reason}", { reason }),
  });
  return { verifier, issuers: new Set(issuers.map(({ issuer }) => issuer)) };
}
