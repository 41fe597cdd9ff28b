/** `/api/v1/ca` and what lies under it, and `/api/v1/krl`: whom to trust. For anyone; a new root, for administrators. */
import type { z } from "zod";
import { encodeText } from "../bytes/bytes.ts";
import { type AuthoritiesAnswer, authoritiesAnswer, rotationRequest } from "../ca/messages.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import { readDuration } from "./body.ts";
import { Editions, tagOf } from "./editions.ts";
import type { ApiOptions } from "./options.ts";
import { requireRight } from "./permission.ts";
import { cached, json, type Route, route } from "./route.ts";

/** The parts that are lines of text as well: under `/api/v1/ca/`, the operation's name, and what it is. */
const TEXTS: readonly {
  readonly path: string;
  readonly operation: string;
  readonly summary: string;
  readonly of: (answer: AuthoritiesAnswer) => readonly string[];
}[] = [
  {
    path: "user.pub",
    operation: "getUserAuthorities",
    summary: "Keys that sign user certificates, for TrustedUserCAKeys",
    of: ({ ssh }) => ssh.user,
  },
  {
    path: "host.pub",
    operation: "getHostAuthorities",
    summary: "Keys that sign host certificates",
    of: ({ ssh }) => ssh.host,
  },
  {
    path: "x509.pem",
    operation: "getRoots",
    summary: "Root certificates, PEM",
    of: ({ x509 }) => x509,
  },
  {
    path: "known_hosts",
    operation: "getKnownHosts",
    summary: "Lines for a known_hosts file",
    of: ({ known_hosts }) => known_hosts,
  },
];

export function authorityRoutes(options: ApiOptions): Route[] {
  const editions = new Editions(options);
  const describe = () => describeAuthorities(options, editions);
  return [
    authoritiesRoute(describe),
    ...TEXTS.map((text) => textRoute(text, describe)),
    krlRoute(editions),
    ...(options.rotate ? [rotationRoute(options, options.rotate)] : []),
  ];
}

function authoritiesRoute(describe: () => Promise<AuthoritiesAnswer>): Route {
  return route({
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
      const answer = await describe();
      return cached(request, await tagOf(encodeText(JSON.stringify(answer))), () => json(answer));
    },
  });
}

function textRoute(
  { path, operation, summary, of }: typeof TEXTS[number],
  describe: () => Promise<AuthoritiesAnswer>,
): Route {
  return route({
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
      const body = of(await describe()).map((line) => `${line.trimEnd()}\n`).join("");
      const headers = { "content-type": "text/plain; charset=utf-8" };
      return cached(request, await tagOf(encodeText(body)), () => new Response(body, { headers }));
    },
  });
}

function krlRoute(editions: Editions): Route {
  return route({
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
      const headers = { "content-type": "application/octet-stream" };
      return cached(request, tag, () => new Response(krl, { headers }));
    },
  });
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
