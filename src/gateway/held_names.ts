/** Names that somebody holds: what host certificates may say. */
import type { NodeResource } from "../identity/policy/mod.ts";
import { type IdentityRef, sameIdentity } from "../identity/principal.ts";
import { shortName } from "../routing/names.ts";
import type { GatewayParts } from "./parts.ts";

/**
 * Full names under the leases of `identity`, on whatever connection, sorted. Those that another gateway offers here are
 * its nodes', and not its own.
 */
export async function heldNames(
  identity: IdentityRef,
  { registry, mesh }: Pick<GatewayParts, "registry" | "mesh">,
): Promise<string[]> {
  const leases = await registry.list();
  const own = leases.filter((lease) =>
    sameIdentity(lease.owner, identity) && mesh.paths.of(lease).length === 0
  );
  return [...new Set(own.map(({ name }) => name))].sort();
}

/** The node of this full name, with the alias that it has under the gateway's domain. */
export function nodeResource(name: string, domain: string, port?: number): NodeResource {
  const alias = shortName(name, domain);
  return { kind: "node", name, ...(port !== undefined && { port }), ...(alias && { aliases: [alias] }) };
}
