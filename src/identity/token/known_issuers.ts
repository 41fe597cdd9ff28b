/**
 * What the URL of an issuer tells: which kind it is, and whether anybody can get a token from it. Trusting one of those as it
 * is would mean "everybody in the world"; a required claim must say who is meant. Pure.
 */
import type { IssuerKind } from "./types.ts";

/** One such issuer. */
interface MultiTenantIssuer {
  readonly is: (issuer: URL) => boolean;
  /** Who gets tokens there. */
  readonly who: string;
  /** Claims one of which must be required. */
  readonly qualifying: readonly string[];
  /** What to write, as YAML. */
  readonly example: string;
}

/** The tenant of everybody with a personal Microsoft account. */
const PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad";

const at = (host: string, path = "/") => (issuer: URL) =>
  issuer.hostname === host && issuer.pathname.replace(/\/?$/, "/") === path;

const ISSUERS: readonly MultiTenantIssuer[] = [
  {
    is: at("accounts.google.com"),
    who: "everybody with a Google account",
    qualifying: [
      "hd",
      "email",
      "sub",
      "google.compute_engine.project_id",
      "google.compute_engine.project_number",
    ],
    example:
      "{ hd: mycorp.com } for people, or { email: app@my-project.iam.gserviceaccount.com } for workloads",
  },
  {
    // An enterprise may have an issuer of its own, with its name as the path.
    is: at("token.actions.githubusercontent.com"),
    who: "every workflow on GitHub",
    qualifying: [
      "repository_owner",
      "repository_owner_id",
      "repository",
      "repository_id",
      "enterprise",
      "enterprise_id",
      "job_workflow_ref",
      "sub",
    ],
    example: "{ repository_owner: mycorp }",
  },
  {
    is: at("gitlab.com"),
    who: "every user and job of GitLab.com",
    qualifying: [
      "namespace_path",
      "namespace_id",
      "project_path",
      "project_id",
      "groups_direct",
      "email",
      "sub",
    ],
    example: "{ namespace_path: mycorp }",
  },
  {
    is: (issuer) => entraTenant(issuer) === PERSONAL_ACCOUNTS,
    who: "everybody with a personal Microsoft account",
    qualifying: ["sub", "oid"],
    example: "{ sub: [AAAAAAAAAAAAAAAAAAAAAJ...] }",
  },
  {
    is: (issuer) => isEntraOfAll(issuer),
    who: "every tenant of Entra",
    qualifying: ["tid"],
    example: "{ tid: 00000000-1111-2222-3333-444444444444 }, or better that tenant's own issuer",
  },
  {
    is: at("agent.buildkite.com"),
    who: "every pipeline of Buildkite",
    qualifying: ["organization_slug", "organization_id", "pipeline_id", "sub"],
    example: "{ organization_slug: mycorp }",
  },
  {
    is: at("app.terraform.io"),
    who: "every workspace of HCP Terraform",
    qualifying: [
      "terraform_organization_id",
      "terraform_organization_name",
      "terraform_project_id",
      "terraform_workspace_id",
      "sub",
    ],
    example: "{ terraform_organization_name: mycorp }",
  },
];

/**
 * Refuses an issuer that anybody can get a token from when no required claim says who is meant.
 * @throws {TypeError} with what to add
 */
export function requireQualification(
  issuer: URL,
  requiredClaims: Readonly<Record<string, readonly string[]>>,
): void {
  const row = ISSUERS.find(({ is }) => is(issuer));
  if (!row) return;
  const qualifies = Object.entries(requiredClaims).some(([claim, values]) =>
    row.qualifying.includes(claim) && values.every(saysWho)
  );
  if (qualifies) return;
  throw new TypeError(
    `the issuer ${
      issuer.href.replace(/\/$/, "")
    } gives tokens to ${row.who}: add required_claims: ${row.example}; ` +
      `one of ${row.qualifying.join(", ")} must be required`,
  );
}

/** Every address of a domain is enough only where the domain is a project: everybody may have one of most others. */
function saysWho(value: string): boolean {
  return !value.startsWith("*@") || value.endsWith(".iam.gserviceaccount.com");
}

const ENTRA_HOSTS = [
  "login.microsoftonline.com",
  "login.microsoftonline.us",
  "login.partner.microsoftonline.cn",
];
/** Names in place of a tenant. No token has them in its `iss`: that is the tenant's own. */
const ALL_TENANTS = ["common", "organizations", "consumers", "%7btenantid%7d"];

function isEntra({ hostname }: URL): boolean {
  return ENTRA_HOSTS.includes(hostname) || hostname === "sts.windows.net";
}

function entraTenant(issuer: URL): string | undefined {
  return isEntra(issuer) ? issuer.pathname.split("/")[1].toLowerCase() : undefined;
}

/** Whether an issuer is Entra's for more than one tenant. */
export function isEntraOfAll(issuer: URL): boolean {
  return ALL_TENANTS.includes(entraTenant(issuer) ?? "");
}

/**
 * The issuer of one tenant: what its tokens have in `iss`.
 * @throws {TypeError} when `tenant` is no tenant's id
 */
export function entraIssuerOf(issuer: URL, tenant: string): string {
  const id = tenant.toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    throw new TypeError(
      `'${tenant}' is not the id of an Entra tenant: tid is like 00000000-1111-2222-3333-444444444444`,
    );
  }
  const path = issuer.pathname.split("/");
  path[1] = id;
  return `${issuer.origin}${path.join("/")}`;
}

/** By host and path, for what nobody has said. */
const KINDS: readonly (readonly [kind: IssuerKind, is: (issuer: URL) => boolean])[] = [
  ["google", at("accounts.google.com")],
  // github.com's, and /_services/token of an Enterprise Server.
  [
    "github",
    (issuer) =>
      issuer.hostname === "token.actions.githubusercontent.com" || issuer.pathname === "/_services/token",
  ],
  ["gitlab", ({ hostname }) => /^gitlab\./.test(hostname)],
  ["entra", isEntra],
  ["okta", ({ hostname }) => /\.(okta|oktapreview|okta-emea|okta-gov)\.com$/.test(hostname)],
  // The API server's own name, then GKE, EKS and AKS.
  ["kubernetes", ({ hostname }) => /^kubernetes\.default(\.svc(\..+)?)?$/.test(hostname)],
  [
    "kubernetes",
    ({ hostname, pathname }) =>
      hostname === "container.googleapis.com" && pathname.startsWith("/v1/projects/"),
  ],
  [
    "kubernetes",
    ({ hostname, pathname }) =>
      /^oidc\.eks\..+\.amazonaws\.com/.test(hostname) && pathname.startsWith("/id/"),
  ],
  ["kubernetes", ({ hostname }) => /\.oic\.(prod-)?aks\.azure\.(com|us|cn)$/.test(hostname)],
];

/** The kind of an issuer, as far as its URL tells; else `oidc`. */
export function guessKind(issuer: URL): IssuerKind {
  return KINDS.find(([, is]) => is(issuer))?.[0] ?? "oidc";
}
