/** Who may try at all: caps on connections, and penalties for addresses that only ever fail. */
import { parseIp } from "../bytes/ip_address.ts";
import type { AddressRange } from "../bytes/ip_range.ts";
import { sourceInRanges } from "../identity/ranges.ts";
import type { Clock } from "../platform/clock.ts";
import type { ConnectionLimits } from "./config.ts";

/**
 * What a connection that came to nothing costs its address, in milliseconds, as sshd's PerSourcePenalties. An address
 * is held off when it owes more than {@link TOLERANCE}, until it owes nothing: a user who mistypes is not, a guesser is
 * slowed to a few tries a minute.
 */
export const penalties = {
  /** No credential was accepted. */
  refused: 5_000,
  /** It left before it had tried one: port scanners, health checks. */
  left: 1_000,
  /** Too slow for the login grace. */
  late: 10_000,
  /** It broke the protocol. */
  broken: 10_000,
} as const;

export type Penalty = keyof typeof penalties;

/** What an address may owe and still come in, in milliseconds. */
export const TOLERANCE = 60_000;
/** What it can owe at most: a forgotten script is not locked out for a day. */
const MAX_DEBT = 600_000;
/** Addresses remembered: beyond that the ones that owe least are forgotten. */
const MAX_SOURCES = 65_536;

/** A connection's place among those that have not authenticated. Release it exactly once; more often does nothing. */
export interface Startup {
  release(): void;
}

export class Admission {
  readonly #limits: ConnectionLimits;
  readonly #clock: Clock;
  readonly #startups = new Map<string, number>();
  #startupCount = 0;
  /** By source: when it will owe nothing, on the monotonic clock. */
  readonly #debts = new Map<string, { until: number; held: boolean }>();

  constructor(limits: ConnectionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Connections that have not authenticated yet. */
  get startups(): number {
    return this.#startupCount;
  }

  /**
   * A connection from `address` has come in.
   * @param clients connected now
   * @returns its place, or why it has none
   */
  admit(address: string, clients: number): Startup | string {
    const source = sourceOf(address);
    const { maxClients, maxStartups, maxStartupsPerSource } = this.#limits;
    if (clients >= maxClients) return "too many clients";
    if (this.#isHeldOff(source, address)) return "too many failures from this address";
    if (this.#startupCount >= maxStartups) return "too many connections are logging in";
    const own = this.#startups.get(source) ?? 0;
    if (own >= maxStartupsPerSource) return "too many connections from this address are logging in";
    this.#startups.set(source, own + 1);
    this.#startupCount++;
    let released = false;
    return {
      release: () => {
        if (released) return;
        released = true;
        this.#startupCount--;
        const left = this.#startups.get(source)! - 1;
        if (left > 0) this.#startups.set(source, left);
        else this.#startups.delete(source);
      },
    };
  }

  /** A connection from `address` came to nothing. */
  punish(address: string, penalty: Penalty): void {
    const source = sourceOf(address);
    const now = this.#clock.monotonic();
    const debt = this.#debts.get(source);
    const until = Math.min(Math.max(debt?.until ?? 0, now) + penalties[penalty], now + MAX_DEBT);
    this.#debts.delete(source);
    this.#debts.set(source, { until, held: (debt?.held ?? false) || until - now > TOLERANCE });
    if (this.#debts.size > MAX_SOURCES) this.#forget(now);
  }

  #isHeldOff(source: string, address: string): boolean {
    const debt = this.#debts.get(source);
    if (!debt) return false;
    if (debt.until <= this.#clock.monotonic()) {
      this.#debts.delete(source);
      return false;
    }
    return debt.held && !isExempt(this.#limits.penaltyExempt, address);
  }

  #forget(now: number): void {
    for (const [source, { until }] of this.#debts) if (until <= now) this.#debts.delete(source);
    const [oldest] = this.#debts.keys();
    if (this.#debts.size > MAX_SOURCES) this.#debts.delete(oldest);
  }
}

function isExempt(ranges: readonly AddressRange[], address: string): boolean {
  return sourceInRanges(ranges, address);
}

/** What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber has. */
function sourceOf(address: string): string {
  const ip = parseIp(address);
  if (!ip || ip.bits === 32) return ip?.toString() ?? address;
  return ip.bytes.slice(0, 8).join(".");
}
