/** What a benchmark measured, beside a peer, and what it should. */

/** One run's figures by name; the name ends in the unit. */
export type Figures = Readonly<Record<string, number>>;

/** One target: a figure of ours, at least or at most so much, absolute or as a multiple of the peer's. */
export interface Target {
  readonly figure: string;
  readonly least?: number;
  readonly most?: number;
  readonly timesPeer: boolean;
}

/** The gateway's column and the peer's, round by round: both of one round were measured within the same minute. */
export interface Paired {
  readonly ours: readonly Figures[];
  readonly peer: readonly Figures[];
}

export interface Verdict {
  readonly met: boolean;
  /** The median, the range of the rounds, the target. */
  readonly text: string;
}

/** The middle one; of an even number the lower of the two. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1];
}

/** The medians of every figure that any round has. */
export function medians(rounds: readonly Figures[]): Figures {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)));
  return Object.fromEntries([...names].map((name) => [name, median(valuesOf(rounds, name))]));
}

/**
 * Judges the median of the rounds. A multiple of the peer is taken within each round: a machine that is slow for a while is
 * slow for both.
 * @returns undefined when the figure was not measured
 */
export function judge(
  { figure, least, most, timesPeer }: Target,
  { ours, peer }: Paired,
): Verdict | undefined {
  const values = timesPeer
    ? ours.map((round, i) => round[figure] / peer[i]?.[figure]).filter(Number.isFinite)
    : valuesOf(ours, figure);
  if (values.length === 0) return undefined;
  const middle = median(values);
  const met = least !== undefined ? middle >= least : middle <= most!;
  const range = values.length > 1
    ? ` [${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)}]`
    : "";
  const bound = `${least !== undefined ? "≥" : "≤"} ${least ?? most}${timesPeer ? " × peer" : ""}`;
  return { met, text: `${middle.toFixed(2)}${range} (${bound})${met ? "" : " MISSED"}` };
}

function valuesOf(rounds: readonly Figures[], figure: string): number[] {
  return rounds.map((round) => round[figure]).filter((value) => value !== undefined);
}
