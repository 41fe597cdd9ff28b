/** `GET /api/v1/ca`, `…/krl` and `/api/v1/revocations`: whom to trust, and what counts no more. */
import type { z } from "zod";
import { type Bytes, concat, encodeText } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import {
  type AuthoritiesAnswer,
  authoritiesAnswer,
  decodeRevocation,
  encodeRecord,
  revocationRequest,
  revocationsAnswer,
  rotationRequest,
  withdrawalRequest,
} from "../ca/messages.ts";
import type { Revoked } from "../ca/types.ts";
import { writeKrl } from "../cert/krl.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import { bearerFrom, revocationFor, revocationFrom } from "./asserted.ts";
import { readDuration } from "./body.ts";
import type { ApiOptions } from "./options.ts";
import { requireRight } from "./permission.ts";
import { cached, type Call, json, type Route, route } from "./route.ts";

export function trustRoutes(options: ApiOptions): Route[] {
  const editions = new Editions(options);
  const text = (
    path: string,
    operation: string,
    summary: string,
    of: (answer: AuthoritiesAnswer) => string[],
  ) =>
    route({
      method: "GET",
      path: `/api/v1/ca/${path}`,
      operation,
      summary,
      access: "anyone",
      answers: {
        200: { description: "Lines of text", mediaType: "text/plain" },
        304: { description: "As it was" },
      },
      async handle({ request }) {
        const body = of(await describeAuthorities(options, editions)).map((line) => `${line.trimEnd()}\n`)
          .join("");
        return cached(request, await tagOf(encodeText(body)), () =>
          new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } }));
      },
    });
  return [
    route({
      method: "GET",
      path: "/api/v1/ca",
      operation: "getAuthorities",
      summary: "The keys and certificates that certificates are checked against",
      access: "anyone",
      answers: {
        200: { description: "All of them", schema: authoritiesAnswer },
        304: { description: "As they were" },
      },
      async handle({ request }) {
        const answer = await describeAuthorities(options, editions);
        return cached(request, await tagOf(encodeText(JSON.stringify(answer))), () => json(answer));
      },
    }),
    text(
      "user.pub",
      "getUserAuthorities",
      "Keys that sign user certificates, for TrustedUserCAKeys",
      ({ ssh }) => ssh.user,
    ),
    text("host.pub", "getHostAuthorities", "Keys that sign host certificates", ({ ssh }) => ssh.host),
    text("x509.pem", "getRoots", "Root certificates, PEM", ({ x509 }) => x509),
    text("known_hosts", "getKnownHosts", "Lines for a known_hosts file", ({ known_hosts }) => known_hosts),
    route({
      method: "GET",
      path: "/api/v1/krl",
      operation: "getKrl",
      summary: "The key revocation list, for RevokedKeys of sshd",
      access: "anyone",
      answers: {
        200: { description: "A list in OpenSSH's format", mediaType: "application/octet-stream" },
        304: { description: "As it was" },
      },
      async handle({ request }) {
        const { krl, tag } = await editions.now();
        return cached(
          request,
          tag,
          () => new Response(krl, { headers: { "content-type": "application/octet-stream" } }),
        );
      },
    }),
    route({
      method: "GET",
      path: "/api/v1/revocations",
      operation: "listRevocations",
      summary: "What is revoked, by whom and why (needs the right 'admin', 'audit' or 'assert')",
      access: "identified",
      answers: { 200: { description: "All of it", schema: revocationsAnswer } },
      async handle(call) {
        const { action } = requireRight(options, call, ["assert", "audit", "admin"]);
        const [revoked, records] = await Promise.all([options.authority.revoked(), options.revocations()]);
        const told = action !== "assert" ? records : records.map((record) => ({
          ...record,
          revocation: revocationFor(record.revocation, call.identity),
        }));
        return json({ revocations: told.map(encodeRecord), x509_serials: [...revoked.x509Serials].sort() });
      },
    }),
    route<z.infer<typeof revocationRequest>>({
      method: "POST",
      path: "/api/v1/revocations",
      operation: "revoke",
      summary: "Let something count no more (needs the right 'admin'; for another, 'assert')",
      access: "identified",
      body: revocationRequest,
      answers: { 204: { description: "It counts no more" } },
      handle: (call) => revoke(options, call),
    }),
    route<z.infer<typeof withdrawalRequest>>({
      method: "POST",
      path: "/api/v1/withdrawals",
      operation: "withdraw",
      summary: "Revoke the certificates that a bearer has, and none that it gets later (as revoke)",
      access: "identified",
      body: withdrawalRequest,
      answers: { 204: { description: "They count no more" } },
      handle: (call) => withdraw(options, call),
    }),
    ...(options.rotate ? [rotationRoute(options, options.rotate)] : []),
  ];
}

function rotationRoute(options: ApiOptions, rotate: NonNullable<ApiOptions["rotate"]>): Route {
  return route<z.infer<typeof rotationRequest>>({
    method: "POST",
    path: "/api/v1/ca/rotations",
    operation: "rotate",
    summary: "Make a new root, trusted at once and signing after a while (needs the right 'admin')",
    access: "identified",
    body: rotationRequest,
    answers: { 204: { description: "It is trusted now" } },
    async handle(call) {
      requireRight(options, call, "admin");
      const { kind, overlap } = call.body;
      await rotate(kind, overlap === undefined ? {} : { overlap: readDuration("overlap", overlap) });
      return new Response(null, { status: 204 });
    },
  });
}

async function revoke(options: ApiOptions, call: Call<z.infer<typeof revocationRequest>>): Promise<Response> {
  const { identity, body: { reason } } = call;
  const revocation = decodeRevocation(call.body.revocation);
  const { by, asserted } = whoTakesBack(options, call);
  await options.authority.revoke(asserted ? revocationFrom(revocation, identity) : revocation, by, reason);
  return new Response(null, { status: 204 });
}

async function withdraw(
  options: ApiOptions,
  call: Call<z.infer<typeof withdrawalRequest>>,
): Promise<Response> {
  const { identity, body: { issuer, subject, reason } } = call;
  const bearer = { issuer, subject };
  const { by, asserted } = whoTakesBack(options, call);
  await options.authority.withdraw(asserted ? bearerFrom(bearer, identity) : bearer, by, reason);
  return new Response(null, { status: 204 });
}

/** @returns for the record, and whether a gateway asks for another @throws {Problem} `not-permitted` */
function whoTakesBack(options: ApiOptions, call: Call<{ readonly by?: string }>) {
  const { identity: { name }, remote, body: { by } } = call;
  if (by === undefined) {
    requireRight(options, call, "admin");
    return { by: { name, remote }, asserted: false };
  }
  // Whoever speaks for another is a gateway that has asked its own policy.
  requireRight(options, call, "assert");
  return { by: { name: `${by} by ${name}`, remote }, asserted: true };
}

async function describeAuthorities(options: ApiOptions, editions: Editions): Promise<AuthoritiesAnswer> {
  const [{ user, host, x509 }, known_hosts, { revocations }] = await Promise.all([
    options.authority.authorities(),
    options.knownHosts(),
    editions.now(),
  ]);
  const lines = (keys: typeof user) => keys.map((key) => formatPublicKey(key));
  return {
    ssh: { user: lines(user), host: lines(host) },
    x509: [...x509],
    known_hosts: [...known_hosts],
    revocations,
  };
}

/** What was revoked, as it is sent. */
interface Edition {
  readonly krl: Bytes;
  /** Entity tag of the list. */
  readonly tag: string;
  /** Another text for each edition. */
  readonly revocations: string;
}

/** Written once for each edition, however often it is asked for. */
class Editions {
  readonly #options: ApiOptions;
  readonly #known = new WeakMap<Revoked, Promise<Edition>>();

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  async now(): Promise<Edition> {
    const revoked = await this.#options.authority.revoked();
    let edition = this.#known.get(revoked);
    if (!edition) {
      edition = this.#make(revoked);
      this.#known.set(revoked, edition);
      edition.catch(() => this.#known.delete(revoked));
    }
    return await edition;
  }

  async #make(revoked: Revoked): Promise<Edition> {
    const krl = writeKrl(revoked.krl);
    const records = (await this.#options.revocations()).map(({ revocation }) => revocation);
    const rest = encodeText(JSON.stringify([[...revoked.x509Serials].sort(), records]));
    const [tag, revocations] = await Promise.all([tagOf(krl), tagOf(concat(krl, rest))]);
    return { krl, tag, revocations: revocations.slice(1, -1) };
  }
}

/** A strong entity tag. */
async function tagOf(bytes: Bytes): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `"${encodeHex(digest.subarray(0, 16))}"`;
}
