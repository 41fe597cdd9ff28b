/** Who may try at all: caps on connections, and penalties for addresses that only ever fail. */
import type { AddressRange } from "../bytes/ip_range.ts";
import { sourceInRanges } from "../identity/ranges.ts";
import type { Clock } from "../platform/clock.ts";
import type { ConnectionLimits } from "./limits.ts";
import { type Place, Places, sourceOf } from "./places.ts";

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

export type AdmissionLimits = Omit<ConnectionLimits, "maxClientsPerIdentity">;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #startups: Places;
  /** By source: when it will owe nothing, on the monotonic clock. */
  readonly #debts = new Map<string, { until: number; held: boolean }>();

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#startups = new Places({ total: limits.maxStartups, perSource: limits.maxStartupsPerSource });
  }

  /** Connections that have not authenticated yet. */
  get startups(): number {
    return this.#startups.taken;
  }

  /**
   * A connection from `address` has come in.
   * @param clients connected now
   * @returns its place, or why it has none
   */
  admit(address: string, clients: number): Place | string {
    if (clients >= this.#limits.maxClients) return "too many clients";
    if (this.#isHeldOff(sourceOf(address), address)) return "too many failures from this address";
    const place = this.#startups.take(address);
    if (place === "everybody") return "too many connections are logging in";
    if (place === "source") return "too many connections from this address are logging in";
    return place;
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
