import assert from "node:assert/strict";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { type IssuerDefaults, issuerSchema, prepareIssuers } from "../../../src/identity/token/mod.ts";

const defaults: IssuerDefaults = {
  audiences: ["ssh://gw.mycorp.com", "ssh://gw.mycorp.com:15022"],
  domain: "gw.mycorp.com",
  trustDomain: "mycorp.internal",
};

/** As the configuration file has it under `issuers`. */
function prepare(yaml: string, changes: Partial<IssuerDefaults> = {}) {
  const settings = (parseYaml(yaml) as unknown[]).map((one) => {
    const parsed = issuerSchema.safeParse(one);
    if (!parsed.success) throw new TypeError(parsed.error.issues[0].message);
    return parsed.data;
  });
  return prepareIssuers(settings, { ...defaults, ...changes });
}

const whole = { requiredClaims: {}, claims: {}, keepKeys: 86_400_000, audiences: defaults.audiences };

Deno.test("a plain URL is an issuer with its defaults", () => {
  assert.deepEqual(prepare("[https://login.mycorp.com]"), [
    { ...whole, issuer: "https://login.mycorp.com", kind: "oidc" },
  ]);
});

Deno.test("everything about an issuer can be said", () => {
  const issuers = prepare(`
    - url: https://login.mycorp.com/realms/main
      kind: oidc
      audiences: ssh-mesh
      jwks: https://login.mycorp.com/realms/main/keys
      required_claims: { "realm_access.roles": [ssh, admin], level: 3, active: true }
      trust_domain: VM.Mycorp.com.
      claims: { name: preferred_username, email: mail, groups: realm_access.roles }
      keep_keys: 2h
  `);
  assert.deepEqual(issuers, [{
    issuer: "https://login.mycorp.com/realms/main",
    kind: "oidc",
    audiences: ["ssh-mesh"],
    jwks: "https://login.mycorp.com/realms/main/keys",
    requiredClaims: { "realm_access.roles": ["ssh", "admin"], level: ["3"], active: ["true"] },
    trustDomain: "vm.mycorp.com",
    claims: { name: "preferred_username", email: "mail", groups: "realm_access.roles" },
    keepKeys: 7_200_000,
  }]);
});

const examples: readonly [what: string, yaml: string, expected: Record<string, unknown>][] = [
  [
    "GitHub Actions",
    "[{ issuer: https://token.actions.githubusercontent.com, required_claims: { repository_owner: mycorp } }]",
    { kind: "github", requiredClaims: { repository_owner: ["mycorp"] } },
  ],
  ["a GitHub enterprise's own", "[https://token.actions.githubusercontent.com/mycorp]", { kind: "github" }],
  ["a GitHub Enterprise Server", "[https://github.mycorp.com/_services/token]", { kind: "github" }],
  [
    "GitLab.com",
    "[{ issuer: https://gitlab.com, kind: gitlab, required_claims: { namespace_path: mycorp } }]",
    { kind: "gitlab" },
  ],
  ["a GitLab of one's own", "[https://gitlab.mycorp.com]", { kind: "gitlab" }],
  [
    "Entra",
    "[https://login.microsoftonline.com/00000000-1111-2222-3333-444444444444/v2.0]",
    { kind: "entra" },
  ],
  ["Okta", "[https://mycorp.okta.com/oauth2/default]", { kind: "okta" }],
  ["Kubernetes", "[https://kubernetes.default.svc.cluster.local]", {
    kind: "kubernetes",
    trustDomain: "mycorp.internal",
  }],
  [
    "GKE",
    "[{ issuer: https://container.googleapis.com/v1/projects/p/locations/l/clusters/c, trust_domain: gke.mycorp.com }]",
    { kind: "kubernetes", trustDomain: "gke.mycorp.com" },
  ],
  ["EKS", "[https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF]", { kind: "kubernetes" }],
  ["AKS", "[https://westeurope.oic.prod-aks.azure.com/t/c/]", { kind: "kubernetes" }],
  [
    "Kubernetes by a file of keys",
    "[{ issuer: https://k8s.mycorp.com, kind: kubernetes, jwks: /etc/keys.json }]",
    {
      kind: "kubernetes",
      jwks: "/etc/keys.json",
    },
  ],
  [
    "people of one domain at Google",
    "[{ issuer: https://accounts.google.com, required_claims: { hd: mycorp.com } }]",
    {
      kind: "google",
      trustDomain: "gcp.gw.mycorp.com",
    },
  ],
  ["Google in its other spelling", "[{ issuer: accounts.google.com, required_claims: { hd: mycorp.com } }]", {
    issuer: "https://accounts.google.com",
    kind: "google",
  }],
  [
    "service accounts of one project at Google",
    '[{ issuer: https://accounts.google.com, required_claims: { email: "*@my-project.iam.gserviceaccount.com" } }]',
    { kind: "google" },
  ],
  [
    "machines of one project at Google",
    "[{ issuer: https://accounts.google.com, required_claims: { google.compute_engine.project_id: my-project } }]",
    { kind: "google" },
  ],
  ["one on this machine, for tests", "[http://127.0.0.1:8080]", {
    kind: "oidc",
    issuer: "http://127.0.0.1:8080",
  }],
];

for (const [what, yaml, expected] of examples) {
  Deno.test(`${what} can be trusted`, () => {
    const [issuer, ...more] = prepare(yaml);
    assert.deepEqual(more, []);
    assert.deepEqual({ ...issuer, ...expected }, issuer);
  });
}

Deno.test("Entra for some tenants becomes each tenant's own issuer: what their tokens say", () => {
  const issuers = prepare(`
    - issuer: https://login.microsoftonline.com/organizations/v2.0
      required_claims: { tid: [00000000-1111-2222-3333-444444444444, 00000000-1111-2222-3333-55555555555A] }
  `);
  assert.deepEqual(issuers.map(({ issuer }) => issuer), [
    "https://login.microsoftonline.com/00000000-1111-2222-3333-444444444444/v2.0",
    "https://login.microsoftonline.com/00000000-1111-2222-3333-55555555555a/v2.0",
  ]);
});

const everybodys: readonly [yaml: string, sentence: RegExp][] = [
  [
    "https://accounts.google.com",
    /everybody with a Google account: add required_claims: \{ hd: mycorp\.com \}/,
  ],
  ["accounts.google.com", /everybody with a Google account/],
  ["{ issuer: https://accounts.google.com, required_claims: { email_verified: true } }", /one of hd, email/],
  ['{ issuer: https://accounts.google.com, required_claims: { email: "*@gmail.com" } }', /one of hd, email/],
  [
    '{ issuer: https://accounts.google.com, required_claims: { email: [a@b.com, "*@developer.gserviceaccount.com"] } }',
    /one of hd, email/,
  ],
  [
    "https://token.actions.githubusercontent.com",
    /every workflow on GitHub: add required_claims: \{ repository_owner: mycorp \}/,
  ],
  ["https://token.actions.githubusercontent.com/", /every workflow on GitHub/],
  [
    "{ issuer: https://token.actions.githubusercontent.com, required_claims: { ref: refs/heads/main } }",
    /repository_owner/,
  ],
  ["{ issuer: https://token.actions.githubusercontent.com, kind: oidc }", /every workflow on GitHub/],
  [
    "https://gitlab.com",
    /every user and job of GitLab\.com: add required_claims: \{ namespace_path: mycorp \}/,
  ],
  ["{ issuer: https://gitlab.com, required_claims: { ref: main } }", /project_path/],
  ["https://login.microsoftonline.com/common/v2.0", /every tenant of Entra: add required_claims: \{ tid: /],
  ["https://login.microsoftonline.com/organizations/v2.0", /every tenant of Entra/],
  ["https://login.microsoftonline.com/consumers/v2.0", /every tenant of Entra/],
  ["https://login.microsoftonline.us/common/v2.0", /every tenant of Entra/],
  ["https://login.microsoftonline.com/{tenantid}/v2.0", /every tenant of Entra/],
  ["https://sts.windows.net/common/", /every tenant of Entra/],
  ["{ issuer: https://login.microsoftonline.com/common/v2.0, required_claims: { email: a@b.com } }", /tid/],
  [
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    /everybody with a personal Microsoft account/,
  ],
  [
    "{ issuer: https://login.microsoftonline.com/common/v2.0, required_claims: { tid: 9188040d-6c67-4c5b-b112-36a304b66dad } }",
    /everybody with a personal Microsoft account/,
  ],
  ["https://agent.buildkite.com", /organization_slug/],
  ["https://app.terraform.io", /terraform_organization_name/],
];

for (const [yaml, sentence] of everybodys) {
  Deno.test(`trusting ${yaml} would mean everybody, and is refused with what to add`, () => {
    assert.throws(() => prepare(`[${yaml.startsWith("{") ? yaml : `"${yaml}"`}]`), (error: Error) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, sentence);
      return true;
    });
  });
}

const mistakes: readonly [yaml: string, sentence: RegExp][] = [
  ["[http://login.mycorp.com]", /must be https/],
  ["[login.mycorp.com]", /not the URL of an issuer/],
  ["[ftp://login.mycorp.com]", /must be https/],
  ["['https://login.mycorp.com?x=1']", /no user, query or fragment/],
  ["['https://login.mycorp.com?']", /no user, query or fragment/],
  ["['https://ann:secret@login.mycorp.com']", /the issuer https:\/\/login\.mycorp\.com\/ must have no user/],
  ["[7]", /object/],
  ["[{ kind: oidc }]", /an issuer needs its URL/],
  ["[{ issuer: https://a.example, kind: saml }]", /kind must be one of kubernetes, google/],
  ["[{ issuer: https://a.example, audience: x }]", /audience/],
  ["[{ issuer: https://a.example, audiences: [] }]", /audiences must be/],
  [
    "[{ issuer: https://a.example, jwks: 'http://a.example/keys' }]",
    /keys come from a file, or from an https URL/,
  ],
  ["[{ issuer: https://a.example, jwks: 'ftp://a.example/keys' }]", /keys come from a file/],
  ["[{ issuer: https://a.example, required_claims: { hd: [] } }]", /must have a value/],
  ["[{ issuer: https://a.example, required_claims: { hd: null } }]", /must have a value/],
  ["[{ issuer: https://a.example, trust_domain: 10.0.0.1 }]", /not a trust domain/],
  ["[{ issuer: https://a.example, trust_domain: 'a b' }]", /not a trust domain/],
  ["[{ issuer: https://a.example, keep_keys: forever }]", /not a duration/],
  ["[{ issuer: https://a.example, kind: kubernetes, claims: { name: sub } }]", /leave out claims\.name/],
  [
    "[{ issuer: https://a.example, kind: oidc }, { issuer: https://a.example, kind: okta }]",
    /configured twice/,
  ],
  [
    "[{ issuer: https://accounts.google.com, required_claims: { hd: a.com } }, " +
    "{ issuer: accounts.google.com, required_claims: { hd: b.com } }]",
    /configured twice/,
  ],
  [
    "[{ issuer: https://a.example, trust_domain: X.example }, { issuer: https://b.example, trust_domain: x.example }]",
    /two issuers have the trust domain x\.example/,
  ],
  [
    "[https://kubernetes.default.svc, https://oidc.eks.eu-west-1.amazonaws.com/id/A]",
    /two issuers have the trust domain mycorp\.internal/,
  ],
  [
    "[{ issuer: https://login.microsoftonline.com/common/v2.0, required_claims: { tid: mycorp.com } }]",
    /not the id of an Entra tenant/,
  ],
];

for (const [yaml, sentence] of mistakes) {
  Deno.test(`${yaml} is a mistake with a sentence`, () => {
    assert.throws(() => prepare(yaml), sentence);
  });
}

Deno.test("a Kubernetes issuer needs a trust domain, and everybody an audience", () => {
  assert.throws(
    () => prepare("[https://kubernetes.default.svc]", { trustDomain: undefined }),
    /needs a trust_domain: its accounts are named KSA@NS\.TRUSTDOMAIN/,
  );
  assert.throws(() => prepare("[https://a.example]", { audiences: [] }), /needs an audience/);
});

Deno.test("a URL by flag and its details in the file are one issuer, and the same URL twice is one", () => {
  const issuers = prepare(
    "[https://a.example, { issuer: https://a.example, audiences: [x] }, https://a.example]",
  );
  assert.deepEqual(issuers.map(({ audiences }) => audiences), [["x"]]);
  assert.equal(prepare("[https://a.example, https://a.example]").length, 1);
  const google = prepare(
    "[accounts.google.com, { issuer: https://accounts.google.com, required_claims: { hd: a.com } }]",
  );
  assert.equal(google.length, 1);
});

Deno.test("the shape of the configuration can be published as JSON Schema", () => {
  const schema = z.toJSONSchema(z.array(issuerSchema), { io: "input" });
  assert.ok(JSON.stringify(schema).includes("required_claims"));
});
