/** What somebody who logged in may do, as a key's line or a certificate limits it. */
import { matchesPattern } from "./patterns.ts";
import type { VerifiedSignature } from "./types.ts";

/** A host and a port that `permitopen` and `permitlisten` name. */
export interface PermittedAddress {
  readonly host: string;
  /** Undefined: any. */
  readonly port: number | undefined;
}

/** Every member limits; {@link UNRESTRICTED} is what a plain key has. */
export interface Restrictions {
  readonly permitPty: boolean;
  readonly permitPortForwarding: boolean;
  readonly permitAgentForwarding: boolean;
  readonly permitX11Forwarding: boolean;
  readonly permitUserRc: boolean;
  /** Runs instead of whatever is asked for. */
  readonly forceCommand?: string;
  /** Destinations of direct-tcpip; undefined: any. The host is literal, or `*`. */
  readonly permitOpen?: readonly PermittedAddress[];
  /** Addresses of tcpip-forward; undefined: any. The host may be a pattern. */
  readonly permitListen?: readonly PermittedAddress[];
  /** Variables for the session. */
  readonly environment: ReadonlyMap<string, string>;
  /** A tun device that is forced. */
  readonly tunnel?: string;
  /** A FIDO key need not be touched. */
  readonly noTouchRequired: boolean;
  /** A FIDO key must have verified its user (PIN). */
  readonly verifyRequired: boolean;
}

/** No limit at all. (Touching is expected of FIDO keys, always, unless said otherwise.) */
export const UNRESTRICTED: Restrictions = Object.freeze({
  permitPty: true,
  permitPortForwarding: true,
  permitAgentForwarding: true,
  permitX11Forwarding: true,
  permitUserRc: true,
  environment: new Map<string, string>(),
  noTouchRequired: false,
  verifyRequired: false,
});

/** What `restrict` means: nothing is permitted but to run a command. */
export const RESTRICTED: Restrictions = Object.freeze({
  ...UNRESTRICTED,
  permitPty: false,
  permitPortForwarding: false,
  permitAgentForwarding: false,
  permitX11Forwarding: false,
  permitUserRc: false,
});

/**
 * Both at once: permitted is what both permit.
 * @returns undefined when they contradict each other: two different forced commands or tunnels
 */
export function mergeRestrictions(a: Restrictions, b: Restrictions): Restrictions | undefined {
  if (differ(a.forceCommand, b.forceCommand) || differ(a.tunnel, b.tunnel)) return undefined;
  return {
    permitPty: a.permitPty && b.permitPty,
    permitPortForwarding: a.permitPortForwarding && b.permitPortForwarding,
    permitAgentForwarding: a.permitAgentForwarding && b.permitAgentForwarding,
    permitX11Forwarding: a.permitX11Forwarding && b.permitX11Forwarding,
    permitUserRc: a.permitUserRc && b.permitUserRc,
    forceCommand: a.forceCommand ?? b.forceCommand,
    permitOpen: both(a.permitOpen, b.permitOpen),
    permitListen: both(a.permitListen, b.permitListen),
    environment: new Map([...b.environment, ...a.environment]),
    tunnel: a.tunnel ?? b.tunnel,
    noTouchRequired: a.noTouchRequired && b.noTouchRequired,
    verifyRequired: a.verifyRequired || b.verifyRequired,
  };
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Entries that both lists hold, word for word: rather too few than too many. */
function both(
  a?: readonly PermittedAddress[],
  b?: readonly PermittedAddress[],
): readonly PermittedAddress[] | undefined {
  if (!a || !b) return a ?? b;
  return a.filter(({ host, port }) => b.some((other) => other.host === host && other.port === port));
}

/** Whether `permitopen` lets a forward to this destination be opened. Says nothing of `permitPortForwarding`. */
export function permitsOpen({ permitOpen }: Restrictions, host: string, port: number): boolean {
  return !permitOpen ||
    permitOpen.some((permitted) =>
      (permitted.host === "*" || permitted.host === host) && (permitted.port ?? port) === port
    );
}

/** Whether `permitlisten` lets a listener be opened there. Says nothing of `permitPortForwarding`. */
export function permitsListen({ permitListen }: Restrictions, host: string, port: number): boolean {
  return !permitListen ||
    permitListen.some((permitted) =>
      matchesPattern(host, permitted.host) && (permitted.port ?? port) === port
    );
}

/** Whether nothing here limits a session. */
export function isUnrestricted(restrictions: Restrictions): boolean {
  const { permitPty, permitPortForwarding, permitAgentForwarding, permitX11Forwarding } = restrictions;
  const { forceCommand, permitOpen, permitListen, tunnel, permitUserRc } = restrictions;
  return permitPty && permitPortForwarding && permitAgentForwarding && permitX11Forwarding && permitUserRc &&
    [forceCommand, permitOpen, permitListen, tunnel].every((limit) => limit === undefined);
}

/** Whether a signature satisfies what is asked of FIDO tokens; other keys are not asked. */
export function satisfiesFido(restrictions: Restrictions, { fido }: VerifiedSignature): boolean {
  if (!fido) return true;
  return (fido.userPresent || restrictions.noTouchRequired) &&
    (fido.userVerified || !restrictions.verifyRequired);
}
