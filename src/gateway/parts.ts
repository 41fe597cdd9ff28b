/** What the parts of a gateway share. */
import type { LocalAuthority } from "../ca/local.ts";
import type { CertificateAuthority, RevocationRecord } from "../ca/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { Net } from "../platform/net.ts";
import type { Balancer } from "../routing/balance.ts";
import type { NamingContext } from "../routing/forward_request.ts";
import type { Registry } from "../routing/registry.ts";
import type { Audit } from "../telemetry/audit.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";
import type { Dialers } from "./dialers.ts";
import type { Enrolment } from "../ca/enrolment.ts";
import type { JudgedFlows } from "./flows.ts";
import type { MeshSelf } from "./mesh/self.ts";
import type { Judge } from "./policy_file.ts";

export interface GatewayParts {
  readonly clock: Clock;
  readonly net: Net;
  /** Addresses of this machine beside loopback, canonical. */
  ownAddresses(): readonly string[];
  readonly registry: Registry;
  readonly balancer: Balancer;
  readonly judge: Judge;
  readonly naming: Omit<NamingContext, "ownName">;
  readonly dialers: Dialers;
  readonly flows: JudgedFlows;
  readonly audit: Audit;
  readonly metrics: MeshMetrics;
  readonly mesh: MeshSelf;
  /** Undefined: this gateway gives no certificates. */
  readonly authority?: CertificateAuthority;
  /** What was revoked, as it was asked. With `authority`. */
  readonly revocations?: () => Promise<readonly RevocationRecord[]>;
  /** Makes a new root; undefined where the roots are another machine's. */
  readonly rotate?: LocalAuthority["rotate"];
  /** Undefined: it enrols nobody. */
  readonly enrolment?: Enrolment;
}
