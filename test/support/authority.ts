/** An X.509 authority for tests, and what it signs. */
import { issueX509, loadX509Root, makeX509Root, type X509Issue, type X509Root } from "../../src/ca/x509.ts";
import type { Identity } from "../../src/identity/principal.ts";
import { randomX509Serial } from "../../src/x509/serial.ts";

export const HOUR = 3_600_000;

/** A certificate and its key, PEM. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly privateKey: string;
  /** Of the certificate. */
  readonly serial: string;
}

export interface TestAuthority {
  /** PEM. */
  readonly certificate: string;
  readonly root: X509Root;
  issue(what: Partial<Omit<X509Issue, "root" | "key">>): Promise<KeyPairFiles>;
}

/** A person by e-mail address, as a token would prove them. */
export function person(email: string): Identity {
  const issuer = "https://login.example";
  return { ...NOBODY, issuer, subject: email, name: email, email };
}

/** A workload of a trust domain. */
export function workload(account: string, namespace: string, trustDomain: string): Identity {
  return {
    ...NOBODY,
    issuer: `https://kubernetes.${trustDomain}`,
    subject: `system:serviceaccount:${namespace}:${account}`,
    name: `${account}@${namespace}.${trustDomain}`,
    fqdn: `${account}.${namespace}.svc.${trustDomain}`,
    trustDomain,
  };
}

/** A machine with a name of its own. */
export function node(fqdn: string): Identity {
  return { ...NOBODY, kind: "key", issuer: "enrolled", subject: "SHA256:x", name: fqdn, fqdn };
}

const NOBODY = {
  kind: "jwt",
  groups: [],
  claims: {},
  owner: false,
  restrictions: {},
  credential: {},
} as const satisfies Partial<Identity>;

/** Makes an authority that is valid around now. */
export async function testAuthority(
  options: { trustDomain?: string; algorithm?: "P-256" | "Ed25519"; now?: number } = {},
): Promise<TestAuthority> {
  const { trustDomain = "mesh.example", algorithm, now = Date.now() } = options;
  const files = await makeX509Root({
    commonName: `test authority of ${trustDomain}`,
    trustDomain,
    notBefore: now - 48 * HOUR,
    notAfter: now + 48 * HOUR,
    ...(algorithm && { algorithm }),
  });
  const root = await loadX509Root(files);
  return {
    certificate: files.certificate,
    root,
    async issue(what) {
      const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
      const publicKey = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
      const issued = await issueX509({
        identity: person("ann@mycorp.com"),
        names: [],
        trustDomains: [trustDomain],
        lifetime: HOUR,
        now,
        serial: randomX509Serial(),
        ...what,
        root,
        key: { publicKey },
      });
      const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
      const privateKey = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----\n`;
      return { certificate: issued.certificate, privateKey, serial: issued.serial };
    },
  };
}
