/** When to dial which gateway: a pure state machine. Chance comes in as an argument, time as durations. */

/** First upper bound of the wait between two rounds, in milliseconds. */
export const FIRST_WAIT_MS = 500;

/** No wait is longer, in milliseconds. */
export const LONGEST_WAIT_MS = 30_000;

/** A registration that held this long makes the next wait a first one again, in milliseconds. */
export const STABLE_MS = 60_000;

/** Where the dialling stands. */
export interface DialState {
  /** Index of the gateway to dial next. */
  readonly gateway: number;
  /** Gateways that failed in this round, one after the other. */
  readonly failed: number;
  /** Rounds that ended without a stable registration: each doubles the wait's upper bound. */
  readonly rounds: number;
}

export type DialEvent =
  /** No connection, no login, or no registration. */
  | { readonly type: "failed" }
  /** A registration ended that had held for `upMs`. */
  | { readonly type: "lost"; readonly upMs: number }
  /** The gateway asked to go elsewhere. */
  | { readonly type: "drained"; readonly upMs: number };

export const FIRST_DIAL: DialState = { gateway: 0, failed: 0, rounds: 0 };

export interface DialStep {
  readonly state: DialState;
  /** Milliseconds to wait before dialling `state.gateway`. */
  readonly waitMs: number;
}

/**
 * What follows an event. Within a round the gateways are tried in turn without a wait; after a round in which all
 * failed, and after a registration that was lost, comes a wait of full jitter: anything from nothing to a bound that
 * doubles from {@link FIRST_WAIT_MS} to {@link LONGEST_WAIT_MS}, so that a thousand agents do not come back at once.
 *
 * @param gateways how many there are
 * @param random from 0 up to, not including, 1
 */
export function nextDial(
  state: DialState,
  event: DialEvent,
  gateways: number,
  random: () => number,
): DialStep {
  const following = (state.gateway + 1) % gateways;
  if (event.type === "failed") {
    const failed = state.failed + 1;
    if (failed < gateways) return { state: { ...state, gateway: following, failed }, waitMs: 0 };
    return afterWait(following, state.rounds, random);
  }
  const rounds = event.upMs >= STABLE_MS ? 0 : state.rounds;
  if (event.type === "lost") return afterWait(state.gateway, rounds, random);
  // One that drains is about to go: another one is there now. Gateways that send each other their agents must still wait.
  if (gateways > 1 && rounds === 0) return { state: { gateway: following, failed: 0, rounds: 1 }, waitMs: 0 };
  return afterWait(following, rounds, random);
}

function afterWait(gateway: number, rounds: number, random: () => number): DialStep {
  const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(rounds, 16));
  return { state: { gateway, failed: 0, rounds: rounds + 1 }, waitMs: Math.floor(random() * bound) };
}
