/** The policy that the documentation begins with, and those whom its rules are about. */
import { anonymous, type Identity, keyIdentity } from "../../../src/identity/principal.ts";
import { type DecisionContext, parsePolicy, type Resource } from "../../../src/identity/policy/mod.ts";

/** The first page of the documentation. */
const FIRST_PAGE = `
groups:
  sre: { email: ["ann@mycorp.com", "*@sre.mycorp.com"] }
  ci:  { issuer: https://token.actions.githubusercontent.com, claims: { repository: mycorp/app } }
rules:
  - name: pods register themselves
    who:  { trust_domain: prod.mycorp.com }
    may:  [register]
    what: { node: self }
  - name: sre reaches production
    who:  { group: sre }
    may:  [connect, login, exec, sftp, forward]
    what: { node: "*.prod.mycorp.com", port: [22, 5432] }
    as:   [app]                    # login names on nodes
    from: [10.0.0.0/8]
    until: 2027-01-31T00:00:00Z
    max_session: 8h
  - name: web team publishes
    who:  { claims: { groups: web } }
    may:  [register, publish]
    what: { node: "web-*" }
    shared: true
`;
export const policy = parsePolicy(FIRST_PAGE);

export const now = Date.parse("2026-08-01T12:00:00Z");
export const office: DecisionContext = { now, sourceAddress: "10.1.2.3" };

export function identity(more: Partial<Identity>): Identity {
  return {
    ...anonymous,
    kind: "jwt",
    issuer: "https://issuer.example",
    subject: "1",
    name: more.email ?? "someone",
    ...more,
  };
}

export const owner = keyIdentity({ fingerprint: "SHA256:owner", owner: true });
export const ann = identity({ email: "ann@mycorp.com" });
export const bob = identity({ email: "bob@sre.mycorp.com" });
export const pod = identity({
  name: "db@prod.prod.mycorp.com",
  fqdn: "db.shop.svc.prod.mycorp.com",
  trustDomain: "prod.mycorp.com",
});
export const web = identity({ subject: "w", claims: { groups: ["staff", "web"] } });

export const node = (
  name: string,
  port?: number,
  more: { published?: boolean; aliases?: string[] } = {},
): Resource => ({
  kind: "node",
  name,
  ...(port !== undefined && { port }),
  ...more,
});
export const gateway: Resource = { kind: "gateway" };
export const db = node("db.shop.svc.prod.mycorp.com", 5432);
