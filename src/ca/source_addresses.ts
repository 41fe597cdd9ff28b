/** Where certificates may be used from, when more than one has a say. Pure. */
import { addressInRange, type AddressRange, parseAddressRange } from "../bytes/ip_range.ts";
import { printable } from "../bytes/printable.ts";
import { CaError } from "./types.ts";

/** The addresses that both lists let in. Undefined: all. @throws {CaError} `refused` when these are none */
export function commonAddresses(
  identity: readonly string[] | undefined,
  profile: readonly string[],
): string[] | undefined {
  if (!identity && profile.length === 0) return undefined;
  const own = identity?.map(parseRange);
  const further = profile.map(parseRange);
  const both = !own
    ? further
    : further.length === 0
    ? own
    : own.flatMap((a) => further.flatMap((b) => narrower(a, b) ?? []));
  if (both.length === 0) {
    throw new CaError("refused", "there is no address from which the certificate could be used");
  }
  return [...new Set(both.map(({ address, prefix }) => `${address}/${prefix}`))];
}

function parseRange(text: string): AddressRange {
  try {
    return parseAddressRange(text);
  } catch (cause) {
    // Passed over, a restriction would be lost.
    throw new CaError("refused", `the credential's source address '${printable(text)}' is none`, { cause });
  }
}

/** Of two ranges of which one lies in the other, that one. */
function narrower(a: AddressRange, b: AddressRange): AddressRange | undefined {
  const [inner, outer] = a.prefix >= b.prefix ? [a, b] : [b, a];
  return addressInRange(outer, inner.address) ? inner : undefined;
}
