/** The configuration of an authority that stands alone: the settings of a gateway that it has a use for. */
import { parse as parseYaml } from "yaml";
import { type ConfigSources, type GatewayConfig, resolveConfig } from "../config.ts";
import { StartError } from "../exit_codes.ts";
import { type Setting, type SettingKey, settings, variableOf } from "../settings.ts";

/** Where it listens when nobody says. */
const DEFAULT_LISTEN = "127.0.0.1:15443";

/** Help that reads otherwise than a gateway's. */
const HELP: Readonly<Partial<Record<SettingKey, string>>> = {
  listen: `where to listen (default ${DEFAULT_LISTEN}; port 0 picks one)`,
  state: "state folder (default ${XDG_STATE_HOME:-~/.local/state}/ssh-mesh-ca)",
  policy: "who may what (default: gateways that joined with a token vouch for others)",
  domain: "the authority's DNS name; gateways are NAME.DOMAIN (default localhost)",
  drain_grace: "how long requests may go on after SIGTERM (default 30s)",
};

const KEYS = [
  "listen",
  "state",
  "policy",
  "trust_x509",
  "trust_issuer",
  "issuers",
  "domain",
  "trust_domain",
  "ca_key",
  "profiles",
  "log",
  "drain_grace",
] as const satisfies readonly SettingKey[];

/** By key, as a gateway's. */
export const authoritySettings: Readonly<Record<string, Setting>> = Object.fromEntries(
  KEYS.map((key) => [key, { ...settings[key], help: HELP[key] ?? settings[key].help }]),
);

export type AuthorityServerConfig = Pick<
  GatewayConfig,
  | "listen"
  | "state"
  | "policy"
  | "x509Roots"
  | "userCas"
  | "issuers"
  | "domain"
  | "trustDomain"
  | "ca"
  | "log"
  | "drainGrace"
>;

/** @throws {StartError} `usage`, naming the flag, variable or key and what is wrong with it */
export function resolveAuthorityConfig(sources: ConfigSources): AuthorityServerConfig {
  const variables = new Set(KEYS.map(variableOf));
  const environment = (name: string) => variables.has(name) ? sources.environment(name) : undefined;
  const inFile = sources.file ? keysOf(sources.file) : [];
  const unknown = inFile.find((key) =>
    !Object.hasOwn(authoritySettings, key) && Object.hasOwn(settings, key)
  );
  if (unknown !== undefined) {
    throw new StartError(
      "usage",
      `${sources.file!.path}: '${unknown}' is for gateways; an authority has ${KEYS.join(", ")}`,
    );
  }
  const isSet = sources.flags.listen !== undefined || environment(variableOf("listen")) ||
    inFile.includes("listen");
  const flags = isSet ? sources.flags : { ...sources.flags, listen: [DEFAULT_LISTEN] };
  const config = resolveConfig({ ...sources, environment, flags });
  const notTls = config.listen.find(({ protocols }) => !protocols.includes("tls"));
  if (notTls) {
    throw new StartError("usage", `--listen: an authority speaks tls alone, on port ${notTls.port} too`);
  }
  return config;
}

/** Keys at the top of the file; whatever is wrong with it is told by who reads it whole. */
function keysOf({ text }: { readonly text: string }): readonly string[] {
  try {
    const content: unknown = parseYaml(text, { maxAliasCount: 100 });
    return typeof content === "object" && content !== null ? Object.keys(content) : [];
  } catch {
    return [];
  }
}
