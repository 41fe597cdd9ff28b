/** From lines to the configuration that counts, for the server or for one login. */
import { SshdConfigError } from "./error.ts";
import type { PartialSettings } from "./keywords.ts";
import type { LoginContext } from "./match.ts";
import type { Directive, ParsedSshdConfig } from "./parse.ts";
import { defaultSettings, type Settings } from "./settings.ts";

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
  for (const { apply, file, line } of directives) {
    try {
      apply(settings);
    } catch (error) {
      if (error instanceof TypeError) throw new SshdConfigError({ file, line }, error.message);
      throw error;
    }
  }
  return settings;
}

function listening({ listenAddresses, ports, addressFamily }: Settings): { host: string; port: number }[] {
  const asked = listenAddresses.length > 0 ? listenAddresses : [{ host: "*" }];
  const hosts = asked.flatMap(({ host, port }: { host: string; port?: number }) =>
    (port === undefined ? ports : [port]).flatMap((port) => expand(host).map((host) => ({ host, port })))
  );
  return hosts.filter(({ host }) => {
    const version = host.includes(":") ? "inet6" : /^[\d.]+$/.test(host) ? "inet" : "any";
    return version === "any" || addressFamily === "any" || version === addressFamily;
  });
}

/** Every address of both families, as sshd lists them. */
function expand(host: string): string[] {
  return host === "*" ? ["::", "0.0.0.0"] : [host];
}
