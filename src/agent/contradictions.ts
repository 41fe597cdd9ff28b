/** Flags that do not go together, and flags that are nothing without another one. */

/** Which were given, by flag, variable or default. */
export interface Given {
  readonly stdio: boolean;
  readonly sshdConfig: boolean;
  readonly gateways: boolean;
  readonly command: boolean;
  readonly token: boolean;
  readonly tokenAudience: boolean;
  readonly join: boolean;
  readonly principals: boolean;
  readonly userCa: boolean;
  /** `--trust-user-ca gateway` is among them. */
  readonly gatewayCa: boolean;
  readonly authorizedKeys: boolean;
  /** `-L` or `--connect`. */
  readonly forwards: boolean;
}

/** The first that fits is what is said. */
const CONTRADICTIONS: readonly (readonly [fits: (given: Given) => boolean, sentence: string])[] = [
  [(is) => is.stdio && is.gateways, "--stdio serves one connection: it goes without --gateway"],
  [(is) => is.stdio && is.command, "--stdio takes input and output: it goes without a command"],
  [
    (is) => !is.gateways && !is.stdio && !is.sshdConfig,
    "nothing to do: say --gateway HOST:PORT, --stdio or --sshd-config FILE (--help lists all)",
  ],
  [(is) => is.token && is.join, "--join is for machines that have no token: say one of both"],
  [(is) => is.tokenAudience && !is.token, "--token-audience needs a source of tokens"],
  [(is) => (is.token || is.join) && !is.gateways, "tokens need --gateway"],
  [
    (is) => is.principals && !is.userCa && !is.authorizedKeys,
    "--allow-principal needs --trust-user-ca: whose certificates are meant?",
  ],
  [
    (is) => is.userCa && !is.principals,
    "--trust-user-ca needs --allow-principal: trusting an authority says who somebody is, not that they may log in",
  ],
  [(is) => is.gatewayCa && !is.gateways, "--trust-user-ca gateway needs --gateway"],
  [(is) => is.forwards && !is.gateways, "-L and --connect need --gateway"],
];

/** A sentence for whoever typed it; undefined where all is well. */
export function contradiction(given: Given): string | undefined {
  return CONTRADICTIONS.find(([fits]) => fits(given))?.[1];
}
