/** Addresses of this machine, as they are now. Without `--allow-sys` none: only loopback is known to be its own. */
export function ownAddresses(): readonly string[] {
  try {
    return Deno.networkInterfaces().map(({ address }) => address);
  } catch {
    return [];
  }
}
