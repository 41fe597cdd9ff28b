/** How many connections a gateway takes, within what the process may have open. */
import type { AddressRange } from "../bytes/ip_range.ts";
import { limitFarewells } from "../streams/farewell.ts";
import { logger } from "../telemetry/log.ts";

export interface ConnectionLimits {
  readonly maxClients: number;
  /** Of `maxClients`: one credential, however often it is used, leaves room for others. */
  readonly maxClientsPerIdentity: number;
  readonly maxStartups: number;
  readonly maxStartupsPerSource: number;
  readonly penaltyExempt: readonly AddressRange[];
}

/** Clients that are told why they go and then given a moment to read it, at one time. */
const MOST_FAREWELLS = 256;

/**
 * Takes from `limits` what the process cannot hold, and says so.
 * @param descriptors files and sockets that the process may have open; undefined: nobody knows
 */
export function fitLimits(limits: ConnectionLimits, descriptors: number = Infinity): ConnectionLimits {
  limitFarewells(Math.min(MOST_FAREWELLS, Math.floor(descriptors / 32)));
  const fitting = limitsWithin(limits, descriptors);
  const { maxClients, maxStartups } = fitting;
  if (maxClients < limits.maxClients) {
    logger("gateway").warn(
      "for want of file descriptors at most {maxClients} clients are let in (ulimit -n)",
      { maxClients, maxStartups },
    );
  }
  return fitting;
}

/**
 * The limits within `descriptors`, the files and sockets that the process may have open: a quarter for connections that
 * have not authenticated, half for clients, the rest for what they are led to and for files. When descriptors run out, not
 * even a revocation could be read.
 */
export function limitsWithin(limits: ConnectionLimits, descriptors: number): ConnectionLimits {
  const maxStartups = Math.min(limits.maxStartups, Math.floor(descriptors / 4));
  const maxClients = Math.min(limits.maxClients, Math.floor(descriptors / 2));
  return {
    ...limits,
    maxStartups,
    maxStartupsPerSource: Math.min(limits.maxStartupsPerSource, Math.ceil(maxStartups / 2)),
    maxClients,
    maxClientsPerIdentity: Math.min(limits.maxClientsPerIdentity, Math.ceil(maxClients / 2)),
  };
}
