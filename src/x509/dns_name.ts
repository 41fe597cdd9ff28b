/** DNS names as they stand in certificates. */

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether `text` is a host name in its one spelling: lower-case ASCII, no trailing dot, no wildcard, and no IP address. */
export function isDnsName(text: string): boolean {
  const labels = text.split(".");
  // A last label of digits alone is how an IPv4 address would look.
  return text.length <= 253 && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1)!);
}
