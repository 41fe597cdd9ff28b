/** Roots of one kind, old and new: which of them signs, which are trusted. Pure. */

/** One root. Those of a ring stand in the order in which they were made. */
export interface RingEntry {
  /** Milliseconds since 1970, from which on it signs; until then it is trusted alone. */
  readonly signsFrom: number;
  /** Milliseconds since 1970, from which on it is not trusted any more. Undefined: nobody has come after it. */
  readonly retiresAt?: number;
}

/** The entry that signs at `now`: the latest that may. */
export function signing<E extends RingEntry>(ring: readonly E[], now: number): E {
  return ring.findLast(({ signsFrom }) => signsFrom <= now) ?? ring[0];
}

/** The entries whose signatures count at `now`; the one that signs comes first. */
export function trusted<E extends RingEntry>(ring: readonly E[], now: number): E[] {
  const first = signing(ring, now);
  return [first, ...ring.filter((entry) => entry !== first && (entry.retiresAt ?? Infinity) > now)];
}

/**
 * `ring` with a new entry behind it, which signs after `overlap`. Those before it sign until then and are trusted for
 * `lifetime` longer: what they signed last has run out when they go.
 */
export function rotated<E extends RingEntry>(
  ring: readonly E[],
  entry: Omit<E, keyof RingEntry>,
  { now, overlap, lifetime }: { readonly now: number; readonly overlap: number; readonly lifetime: number },
): E[] {
  const signsFrom = now + overlap;
  const retiresAt = signsFrom + lifetime;
  const before = ring.map((old) => ({ ...old, retiresAt: Math.min(old.retiresAt ?? Infinity, retiresAt) }));
  return [...before, { ...entry, signsFrom } as E];
}

/** When {@link signing} or {@link trusted} next change by themselves; undefined: never. */
export function nextChange(ring: readonly RingEntry[], now: number): number | undefined {
  const times = ring.flatMap(({ signsFrom, retiresAt }) => [signsFrom, retiresAt ?? now])
    .filter((time) => time > now && time < Infinity);
  return times.length > 0 ? Math.min(...times) : undefined;
}
