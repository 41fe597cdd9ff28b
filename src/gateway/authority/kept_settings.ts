/** What a running authority leaves in its state folder for the commands beside it: they are told the folder and no more. */
import { z } from "zod";
import { decodeText, encodeText } from "../../bytes/bytes.ts";
import { rootKinds } from "../../ca/local.ts";
import type { StateFolder } from "../../platform/state.ts";
import { StartError } from "../exit_codes.ts";
import type { AuthorityServerConfig } from "./config.ts";

const NAME = "authority.json";

const schema = z.object({
  domain: z.string(),
  trust_domain: z.string(),
  ca_key: z.array(z.object({ kind: z.enum(rootKinds), path: z.string() })),
});

export type KeptSettings = Pick<AuthorityServerConfig, "domain" | "trustDomain" | "ca">;

export async function keepSettings(
  state: Pick<StateFolder, "write">,
  { domain, trustDomain, ca }: KeptSettings,
): Promise<void> {
  const kept: z.infer<typeof schema> = { domain, trust_domain: trustDomain, ca_key: [...ca.keys] };
  await state.write(NAME, encodeText(JSON.stringify(kept)));
}

/**
 * As the authority of this folder runs, or as `config` says where none ever did.
 * @throws {StartError} `usage` when `domain`, which the user named, is another one; `state`
 */
export async function settingsHere(
  state: Pick<StateFolder, "read" | "path">,
  config: KeptSettings,
  { domain }: { readonly domain?: unknown },
): Promise<KeptSettings> {
  const kept = await keptSettings(state);
  if (kept && domain !== undefined && kept.domain !== config.domain) {
    throw new StartError("usage", `--domain: the authority here is ${kept.domain}`);
  }
  return kept ?? config;
}

/** Undefined when no authority has run here. @throws {StartError} `state` */
async function keptSettings(
  state: Pick<StateFolder, "read" | "path">,
): Promise<KeptSettings | undefined> {
  const content = await state.read(NAME);
  if (!content) return undefined;
  try {
    const { domain, trust_domain: trustDomain, ca_key: keys } = schema.parse(JSON.parse(decodeText(content)));
    return { domain, trustDomain, ca: { keys, profiles: [] } };
  } catch (cause) {
    throw new StartError("state", `${state.path}/${NAME} is not what it should be`, { cause });
  }
}
