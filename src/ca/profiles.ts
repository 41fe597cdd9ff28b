/** Profiles: what the certificates of whom hold, and how long they last. Pure. */
import { z } from "zod";
import { parseAddressRange } from "../bytes/ip_range.ts";
import { type Identity, type IdentityKind, identityKinds } from "../identity/principal.ts";
import { parseDuration } from "../identity/ranges.ts";
import { principalFault } from "./principals.ts";
import { commonAddresses } from "./source_addresses.ts";
import { CaError } from "./types.ts";

/** Extensions of user certificates. All others are nobody's to give. */
export const extensionNames = [
  "permit-pty",
  "permit-port-forwarding",
  "permit-agent-forwarding",
  "permit-X11-forwarding",
  "permit-user-rc",
] as const;
export type ExtensionName = typeof extensionNames[number];

/** Milliseconds. */
export interface Lifetime {
  readonly default: number;
  readonly max: number;
}

/** Which identities a profile is for: all conditions hold, of the values in a list one. */
export interface ProfileMatch {
  readonly kind?: readonly IdentityKind[];
  readonly issuer?: readonly string[];
  readonly group?: readonly string[];
  readonly trustDomain?: readonly string[];
}

export interface Profile {
  /** For records and refusals. */
  readonly name: string;
  readonly who: ProfileMatch;
  /** Of certificates that say who somebody is: SSH user certificates, and X.509. Undefined: as without the profile. */
  readonly lifetime?: Lifetime;
  /** Of SSH host certificates. Undefined: as without the profile. */
  readonly hostLifetime?: Lifetime;
  readonly extensions: readonly ExtensionName[];
  readonly forceCommand?: string;
  /** CIDR. Empty: no bound. */
  readonly sourceAddresses: readonly string[];
  /** Beside the identity's own. */
  readonly principals: readonly string[];
}

/** A profile with nothing left open. */
export interface ChosenProfile extends Profile {
  readonly lifetime: Lifetime;
  readonly hostLifetime: Lifetime;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** People sign in again; their certificates last for what they are about to do. */
const PERSON_LIFETIME: Lifetime = { default: 10 * MINUTE, max: HOUR };
/** Machines renew by themselves; their certificates outlast an outage of the authority. */
export const WORKLOAD_LIFETIME: Lifetime = { default: DAY, max: 7 * DAY };

/** What everybody gets for whom no profile is configured: all of the five extensions, as `ssh-keygen` gives them. */
const BUILT_IN: Profile = {
  name: "default",
  who: {},
  extensions: extensionNames,
  sourceAddresses: [],
  principals: [],
};

/** The first of `profiles` that is for `identity`, else the built-in one. Those with no name of a workload are people. */
export function chooseProfile(profiles: readonly Profile[], identity: Identity): ChosenProfile {
  const profile = profiles.find(({ who }) => matches(who, identity)) ?? BUILT_IN;
  const isWorkload = identity.trustDomain !== undefined || identity.fqdn !== undefined;
  return {
    ...profile,
    lifetime: profile.lifetime ?? (isWorkload ? WORKLOAD_LIFETIME : PERSON_LIFETIME),
    hostLifetime: profile.hostLifetime ?? WORKLOAD_LIFETIME,
  };
}

/**
 * `profile` with nothing that `parent` does not permit: whoever comes with a certificate that was given by one profile gets
 * no more by another. @throws {CaError} `refused` when they leave nothing
 */
export function narrowed(profile: ChosenProfile, parent: Profile | undefined): ChosenProfile {
  if (!parent) return profile;
  const forceCommand = profile.forceCommand ?? parent.forceCommand;
  if (parent.forceCommand !== undefined && forceCommand !== parent.forceCommand) {
    throw new CaError(
      "refused",
      `the profiles '${profile.name}' and '${parent.name}' force different commands`,
    );
  }
  const bounds = parent.sourceAddresses.length > 0 ? parent.sourceAddresses : undefined;
  return {
    ...profile,
    extensions: profile.extensions.filter((name) => parent.extensions.includes(name)),
    ...(forceCommand !== undefined && { forceCommand }),
    sourceAddresses: commonAddresses(bounds, profile.sourceAddresses) ?? [],
  };
}

function matches(who: ProfileMatch, { kind, issuer, groups, trustDomain }: Identity): boolean {
  return (who.kind?.includes(kind) ?? true) &&
    (who.issuer?.includes(issuer) ?? true) &&
    (who.group?.some((group) => groups.includes(group)) ?? true) &&
    (who.trustDomain === undefined || (trustDomain !== undefined && who.trustDomain.includes(trustDomain)));
}

/** The longest that a certificate of some kind may last: as long, a root that signs no more is trusted. */
export function longestLifetime(profiles: readonly Profile[], kind: "user" | "host" | "x509"): number {
  const configured = profiles.map(({ lifetime, hostLifetime }) =>
    (kind === "host" ? hostLifetime : lifetime)?.max
  );
  return Math.max(WORKLOAD_LIFETIME.max, ...configured.map((max) => max ?? 0));
}

const oneOrMore = <T extends z.ZodType>(of: T) =>
  z.union([of, z.array(of).min(1)]).transform((value) =>
    (Array.isArray(value) ? value : [value]) as z.output<T>[]
  );

/** `10m`, in milliseconds. */
const duration = z.string().transform((text, context) => {
  try {
    return parseDuration(text);
  } catch (error) {
    context.issues.push({ code: "custom", input: text, message: (error as Error).message });
    return z.NEVER;
  }
});

const lifetime = z.strictObject({ default: duration, max: duration })
  .refine((value) => value.default <= value.max, { error: "the default is longer than the maximum" });

const cidr = z.string().transform((text, context) => {
  try {
    const { address, prefix } = parseAddressRange(text);
    return `${address}/${prefix}`;
  } catch (error) {
    context.issues.push({ code: "custom", input: text, message: (error as Error).message });
    return z.NEVER;
  }
});

const principal = z.string().superRefine((text, context) => {
  const fault = principalFault(text);
  if (fault) context.addIssue({ code: "custom", message: `'${text}' is no principal: ${fault}` });
});

const text = z.string().min(1);

/** One entry of the configuration's list `profiles`. */
export const profileSchema = z.strictObject({
  name: text.describe("For records."),
  who: z.strictObject({
    kind: oneOrMore(z.enum(identityKinds)).optional().describe("Kind of credential."),
    issuer: oneOrMore(text).optional().describe("Exactly the issuer."),
    group: oneOrMore(text).optional().describe("A group of the policy."),
    trust_domain: oneOrMore(text).optional().describe("Exactly the trust domain."),
  }).default({}).describe("All conditions must hold; of the values in a list, one. None: everybody."),
  lifetime: lifetime.optional().describe(
    "Of SSH user and X.509 certificates: default and maximum, as '10m'.",
  ),
  host_lifetime: lifetime.optional().describe("Of SSH host certificates."),
  extensions: z.array(z.enum(extensionNames)).default([...extensionNames])
    .describe("What SSH user certificates permit."),
  force_command: text.optional().describe("The one command that sessions run."),
  source_address: oneOrMore(cidr).optional().describe("Where certificates may be used from."),
  principals: z.array(principal).default([]).describe("Principals beside the identity's own."),
}).transform(({ name, who: { trust_domain, ...who }, ...rest }): Profile => ({
  name,
  who: { ...who, ...(trust_domain && { trustDomain: trust_domain }) },
  ...(rest.lifetime && { lifetime: rest.lifetime }),
  ...(rest.host_lifetime && { hostLifetime: rest.host_lifetime }),
  extensions: rest.extensions,
  ...(rest.force_command !== undefined && { forceCommand: rest.force_command }),
  sourceAddresses: rest.source_address ?? [],
  principals: rest.principals,
}));

/** The configuration key `profiles`: the first that matches counts. */
export const profilesSchema = z.array(profileSchema).max(100);
