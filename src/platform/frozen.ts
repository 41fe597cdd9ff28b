/** Configuration that nobody changes any more. */

/**
 * Freezes plain objects and arrays to the bottom, in place. Instances of classes stay as they are: they keep their own
 * state, and some (typed arrays) cannot be frozen.
 * @returns `value`
 */
export function frozen<T>(value: T): T {
  if (Array.isArray(value)) value.forEach(frozen);
  else if (isPlain(value)) Object.values(value).forEach(frozen);
  else return value;
  return Object.freeze(value);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}
