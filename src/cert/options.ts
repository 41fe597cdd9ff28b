/** What a user certificate permits, and how that meets the line that trusts its authority. */
import { decodeText, decodeTextStrictly } from "../bytes/bytes.ts";
import type { LineOptions } from "../keys/authorized_keys_options.ts";
import { mergeRestrictions, RESTRICTED, type Restrictions } from "../keys/restrictions.ts";
import type { Certificate } from "./types.ts";

/** Critical options of user certificates that this library enforces; any other one rejects the certificate. */
export const knownCriticalOptions: ReadonlySet<string> = new Set([
  "force-command",
  "source-address",
  "verify-required",
]);

/** Extensions and the permission that each gives. What is absent is denied, what is not here is ignored. */
const permissions: Readonly<Record<string, Partial<Restrictions>>> = {
  "permit-pty": { permitPty: true },
  "permit-port-forwarding": { permitPortForwarding: true },
  "permit-agent-forwarding": { permitAgentForwarding: true },
  "permit-X11-forwarding": { permitX11Forwarding: true },
  "permit-user-rc": { permitUserRc: true },
  "no-touch-required": { noTouchRequired: true },
};

/**
 * What a checked user certificate permits.
 *
 * `verifyRequired` and `noTouchRequired` are for the caller to hold against the login's signature
 * (`satisfiesFido`); `source-address` was held against the peer by `checkCertificate`.
 */
export function certificateRestrictions(certificate: Certificate): Restrictions {
  const granted = [...certificate.extensions.keys()]
    .filter((name) => Object.hasOwn(permissions, name))
    .map((name) => permissions[name]);
  const command = certificate.criticalOptions.get("force-command");
  return Object.assign({}, RESTRICTED, ...granted, {
    forceCommand: command && decodeTextStrictly(command),
    verifyRequired: certificate.criticalOptions.has("verify-required"),
  });
}

/** The `source-address` list; undefined when the certificate has none. */
export function sourceAddress(certificate: Certificate): string | undefined {
  const value = certificate.criticalOptions.get("source-address");
  return value && decodeText(value);
}

/**
 * A certificate by a `cert-authority` line: permitted is what both permit.
 * @returns undefined when they force different commands: the login must be refused
 */
export function restrictionsUnderLine(certificate: Certificate, line: LineOptions): Restrictions | undefined {
  return mergeRestrictions(certificateRestrictions(certificate), line.restrictions);
}
