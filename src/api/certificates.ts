/**
 * `POST /api/v1/certs/…`: certificates for whoever asks, and for others that a gateway vouches for.
 *
 * A gateway whose authority is elsewhere (`--ca URL`) asks there `on_behalf_of` its clients. It has judged, by its own
 * policy, that they may have the certificate and hold the names. Here it is asked only whether that gateway has the right
 * `assert`, and the authority's profiles bound what comes out: lifetimes, names that nobody may have. So the right
 * `assert` is the right to name anybody, and belongs to gateways of one's own alone.
 */
import type { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";
import { decodeBase64 } from "../bytes/encoding.ts";
import {
  sshCertificateAnswer,
  sshCertificateRequest,
  x509CertificateAnswer,
  x509CertificateRequest,
} from "../ca/messages.ts";
import type { Resource } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import { ipAddress, NameError, normalizeName, shortName } from "../routing/names.ts";
import { assertedIdentity } from "./asserted.ts";
import { readDuration } from "./body.ts";
import type { ApiOptions } from "./options.ts";
import { requireRight } from "./permission.ts";
import { Problem } from "./problem.ts";
import { type Call, json, type Route, route } from "./route.ts";

type SshRequest = z.infer<typeof sshCertificateRequest>;
type X509Request = z.infer<typeof x509CertificateRequest>;

export function certificateRoutes(options: ApiOptions): Route[] {
  return [
    route<SshRequest>({
      method: "POST",
      path: "/api/v1/certs/ssh",
      operation: "issueSshCertificate",
      summary: "Get an SSH certificate for a key: to log in with, or for a host to prove its names with",
      access: "identified",
      body: sshCertificateRequest,
      answers: { 200: { description: "The certificate", schema: sshCertificateAnswer } },
      problems: ["certificate-refused"],
      handle: (call) => issueSsh(options, call),
    }),
    route<X509Request>({
      method: "POST",
      path: "/api/v1/certs/x509",
      operation: "issueX509Certificate",
      summary: "Get an X.509 certificate for the key of a certificate request",
      access: "identified",
      body: x509CertificateRequest,
      answers: { 200: { description: "The certificate, and those above it", schema: x509CertificateAnswer } },
      problems: ["certificate-refused"],
      handle: (call) => issueX509(options, call),
    }),
  ];
}

async function issueSsh(options: ApiOptions, call: Call<SshRequest>): Promise<Response> {
  const { body, remote } = call;
  const publicKey = readPublicKey(body.public_key);
  const identity = holderOf(options, call);
  if (body.type === "user") {
    if (body.names) throw malformed("names: only host certificates have them; a user's are the identity's");
    if (!body.on_behalf_of) requireRight(options, call, "cert");
    const request = { identity, publicKey, remote, ...lifetime(body) };
    return json({ certificate: (await options.authority.issueUser(request)).line });
  }
  const names = await namesOf(options, call);
  if (names.length === 0) {
    throw new Problem(
      "not-permitted",
      "you hold no name that you may have a host certificate for: register one first",
    );
  }
  const request = { identity, publicKey, names, gateway: body.gateway ?? false, remote, ...lifetime(body) };
  return json({ certificate: (await options.authority.issueHost(request)).line });
}

async function issueX509(options: ApiOptions, call: Call<X509Request>): Promise<Response> {
  const { body, remote } = call;
  const csr = readCsr(body.csr);
  let identity = holderOf(options, call);
  let { gateway = false } = body;
  let isRenewal = false;
  if (!body.on_behalf_of) {
    requireRight(options, call, "cert");
    if (identity.kind === "x509") {
      const renewed = await options.joining?.renewalOf(identity, csr);
      if (!renewed) {
        throw new Problem(
          "not-permitted",
          "a certificate does not get another certificate; come with what it was got with",
        );
      }
      if (body.names) throw malformed("names: a certificate that renews itself has its own name alone");
      // As it was when it joined.
      [identity, gateway, isRenewal] = [renewed, true, true];
    }
  }
  const names = isRenewal ? [] : await namesOf(options, call);
  const request = { identity, csr, names, gateway, remote, ...lifetime(body) };
  return json(describeX509(await options.authority.issueX509(request)));
}

/** As `certs/x509` and `join` answer it. */
export function describeX509(
  { certificate, chain, serial, expiresAt }: {
    readonly certificate: string;
    readonly chain: readonly string[];
    readonly serial: string;
    readonly expiresAt: number;
  },
): z.infer<typeof x509CertificateAnswer> {
  return { certificate, chain: [...chain], serial, expires: new Date(expiresAt).toISOString() };
}

/** Whose certificate it will be: the asker's, or another's when the asker may vouch for others. */
function holderOf(options: ApiOptions, call: Call<SshRequest | X509Request>): Identity {
  const { on_behalf_of, gateway } = call.body;
  if (!on_behalf_of) {
    if (gateway) throw malformed("gateway: only with on_behalf_of");
    return { ...call.identity, groups: options.groupsOf(call.identity) };
  }
  if (options.passesOn) {
    throw new Problem(
      "not-permitted",
      "certificates are not signed here but by another authority; vouch for others there",
    );
  }
  requireRight(options, call, "assert");
  return assertedIdentity(on_behalf_of, call.identity);
}

/** The full names that the certificate will be for. Of those vouched for, whoever vouches has said them. */
async function namesOf(
  options: ApiOptions,
  call: Call<SshRequest | X509Request>,
): Promise<readonly string[]> {
  const asked = call.body.names?.map((name) => readName(name, call.body));
  if (call.body.on_behalf_of) return asked ?? [];
  const { identity, context } = call;
  const held = await options.namesOf(identity);
  const notHeld = asked?.find((name) => !held.includes(name));
  if (notHeld !== undefined) {
    throw new Problem(
      "not-permitted",
      `you hold no registration of ${notHeld}: certificates are for names that you hold`,
    );
  }
  const resource = (name: string): Resource => {
    const alias = shortName(name, options.domain);
    return { kind: "node", name, ...(alias && { aliases: [alias] }) };
  };
  for (const name of asked ?? []) requireRight(options, call, "cert-host", resource(name));
  return asked ??
    held.filter((name) => options.judge(identity, "cert-host", resource(name), context).allowed);
}

function lifetime({ ttl }: SshRequest | X509Request): { lifetime?: number } {
  return ttl === undefined ? {} : { lifetime: readDuration("ttl", ttl) };
}

function readPublicKey(line: string): PublicKey {
  try {
    const { key, certificate } = parsePublicKeyLine(line);
    if (!certificate) return key;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw malformed(`public_key: ${error.message}`);
  }
  throw malformed("public_key: this is a certificate, not a key");
}

const PEM =
  /^\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\sA-Za-z0-9+/=]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/;

/** DER of a certificate request. Whether it is one is for who reads it. */
export function readCsr(text: string): Bytes {
  try {
    return decodeBase64(PEM.exec(text)?.[1] ?? text);
  } catch {
    throw malformed("csr: neither PEM of a certificate request nor base64");
  }
}

/** A gateway may have addresses for names. */
function readName(text: string, { gateway }: Pick<SshRequest, "gateway">): string {
  const address = gateway ? ipAddress(text) : undefined;
  if (address !== undefined) return address;
  try {
    return normalizeName(text);
  } catch (error) {
    if (!(error instanceof NameError)) throw error;
    throw malformed(`names: ${error.message}`);
  }
}

function malformed(sentence: string): Problem {
  return new Problem("malformed-request", sentence);
}
