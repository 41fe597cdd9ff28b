/** From lines to the configuration that counts, for the server or for one login. */
import { SshdConfigError } from "./error.ts";
import type { PartialSettings } from "./keywords.ts";
import type { LoginContext } from "./match.ts";
import type { Directive, ParsedSshdConfig } from "./parse.ts";
import { defaultSettings, type Settings } from "./settings.ts";
import type { ListenAddress } from "./values.ts";

/** What counts, complete. */
export interface SshdConfig extends Settings {
  /** Where to listen: each address with its port.*/
  readonly listen: readonly { readonly host: string; readonly port: number }[];
}

/**
 * The configuration of the server, or with `login` that of one login. Of several lines the first counts (keywords that
 * make lists add up); a value of matching blocks replaces that from outside of them as a whole.
 * @throws {SshdConfigError} when a command has no user to run as
 */
export function evaluate(parsed: ParsedSshdConfig, login?: LoginContext): SshdConfig {
  const outside = collect(parsed.directives.filter(({ conditions }) => conditions.length === 0));
  const matching = login === undefined ? {} : collect(
    parsed.directives.filter(({ conditions }) =>
      conditions.length > 0 && conditions.every((condition) => condition(login))
    ),
  );
  const settings: Settings = { ...defaultSettings, ...outside, ...matching };
  for (const kind of ["authorizedKeysCommand", "authorizedPrincipalsCommand"] as const) {
    if (settings[kind] !== null && settings[`${kind}User`] === null) {
      const position = parsed.directives.at(-1) ?? { file: "sshd_config", line: 0 };
      const keyword = kind[0].toUpperCase() + kind.slice(1);
      throw new SshdConfigError(position, `${keyword} is set without ${keyword}User`);
    }
  }
  return Object.freeze({ ...settings, listen: listening(settings) });
}

function collect(directives: readonly Directive[]): PartialSettings {
  const settings: PartialSettings = {};
  for (const { apply } of directives) apply(settings);
  return settings;
}

/** Every address of both families. */
const EVERYWHERE = ["::", "0.0.0.0"];

/** What the system's resolver, and so sshd, makes of `*`: not what one would think, but less, not more. */
const STAR = ["127.0.0.1", "::1"];

function listening({ listenAddresses, ports, addressFamily }: Settings): SshdConfig["listen"] {
  const asked = listenAddresses.length > 0
    ? listenAddresses
    : EVERYWHERE.map((host): ListenAddress => ({ host }));
  const addresses = asked.flatMap(({ host, port }) => {
    const hosts = host === "*" ? STAR : [host];
    return (port === undefined ? ports : [port]).flatMap((port) => hosts.map((host) => ({ host, port })));
  });
  return addresses.filter(({ host }) => {
    const family = host.includes(":") ? "inet6" : /^[\d.]+$/.test(host) ? "inet" : addressFamily;
    return addressFamily === "any" || family === addressFamily;
  });
}
