/** The API as one function over web-standard requests and responses. */
import { Hono } from "hono";
import { CaError, type CaErrorCode } from "../ca/types.ts";
import { anonymous, type Identity } from "../identity/principal.ts";
import { formatAddress } from "../platform/net.ts";
import type { WebExchange } from "../platform/web.ts";
import { authenticate, bearerToken } from "./authentication.ts";
import { authorityRoutes } from "./authorities.ts";
import { readBody } from "./body.ts";
import { certificateRoutes } from "./certificates.ts";
import { joiningRoutes } from "./joining.ts";
import { openApiRoute } from "./openapi.ts";
import { type ApiOptions, JoinError } from "./options.ts";
import { Problem, type ProblemKind } from "./problem.ts";
import { revocationRoutes } from "./revocations.ts";
import type { Route } from "./route.ts";
import { whoamiRoute } from "./whoami.ts";

/** Of the API, not of the program. */
const API_VERSION = "1";

/** On every answer: it is data, for programs, and mostly for one of them alone. */
const HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/** Every resource of the API, as `options` have it. */
export function apiRoutes(options: ApiOptions): Route[] {
  const routes = [
    ...certificateRoutes(options),
    ...authorityRoutes(options),
    ...revocationRoutes(options),
    ...joiningRoutes(options),
    whoamiRoute(options),
  ];
  return [...routes, openApiRoute(routes, API_VERSION)];
}

/** Answers every request; never rejects. What it cannot do, it answers with a problem (RFC 9457). */
export function apiHandler(options: ApiOptions): (exchange: WebExchange) => Promise<Response> {
  const app = new Hono<{ Bindings: { exchange: WebExchange } }>();
  const routes = apiRoutes(options);
  const toResponse = (error: unknown) => problemOf(error, options).toResponse();
  for (const route of routes) {
    app.on(route.method, honoPath(route), (context) => {
      return serve(route, options, context.env.exchange, context.req.param());
    });
  }
  for (const [path, methods] of methodsOf(routes)) {
    app.all(path, () => {
      const sentence = `only ${methods.join(", ")} here`;
      throw new Problem("method-not-allowed", sentence, { allow: methods.join(", ") });
    });
  }
  app.notFound(() =>
    new Problem("not-found", "there is no such resource; see /api/v1/openapi.json").toResponse()
  );
  app.onError(toResponse);
  return async (exchange) => {
    let response: Response;
    try {
      requireOwnHost(exchange.request, options);
      response = await app.fetch(exchange.request, { exchange });
    } catch (error) {
      response = toResponse(error);
    }
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  };
}

async function serve(
  route: Route,
  options: ApiOptions,
  exchange: WebExchange,
  parameters: Readonly<Record<string, string>>,
): Promise<Response> {
  const { request, remote } = exchange;
  const now = options.clock.now();
  const who = await letIn(route, options, exchange);
  const body = route.body ? await readBody(request, route.body) : undefined;
  return await route.handle({
    request,
    body,
    parameters,
    remote: formatAddress(remote),
    context: { now, sourceAddress: remote.hostname },
    ...who,
  });
}

/** @throws {Problem} `unauthenticated` */
async function letIn(
  { access }: Route,
  options: ApiOptions,
  exchange: WebExchange,
): Promise<{ readonly identity: Identity; readonly bearer?: string }> {
  switch (access) {
    case "anyone":
      return { identity: anonymous };
    case "join-token": {
      const bearer = bearerToken(exchange.request);
      if (bearer !== undefined && options.joining?.isJoinToken(bearer)) {
        return { identity: anonymous, bearer };
      }
      throw new Problem("unauthenticated", "send a join token: 'Authorization: Bearer sshm1.…'");
    }
    case "identified": {
      const identity = await authenticate(exchange, options);
      if (identity !== anonymous) return { identity };
      throw new Problem(
        "unauthenticated",
        "send a token ('Authorization: Bearer …') or a client certificate",
      );
    }
  }
}

/** `Host` and the URL agree by construction; here they must be ours (RFC 9110 §15.5.20). */
function requireOwnHost(request: Request, { isOwnHost }: ApiOptions): void {
  const { hostname, username, password } = new URL(request.url);
  if (username === "" && password === "" && isOwnHost(hostname.replace(/\.$/, ""))) return;
  throw new Problem("misdirected", "this server does not answer for the host of the request");
}

const OF_CA_ERROR: Readonly<Record<CaErrorCode, ProblemKind>> = {
  refused: "certificate-refused",
  invalid: "malformed-request",
  unavailable: "unavailable",
};

function problemOf(error: unknown, { onFailure }: ApiOptions): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof CaError) return new Problem(OF_CA_ERROR[error.code], error.message);
  if (error instanceof JoinError) {
    return new Problem(error.code === "token" ? "unauthenticated" : "conflict", error.message);
  }
  onFailure(error);
  return new Problem("failed", "something unexpected went wrong; the log of the server tells more");
}

/** `/api/v1/join-tokens/{id}` → `/api/v1/join-tokens/:id` */
function honoPath({ path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

function methodsOf(routes: readonly Route[]): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const route of routes) {
    const known = methods.get(honoPath(route)) ?? [];
    methods.set(honoPath(route), [...known, ...route.method === "GET" ? ["GET", "HEAD"] : [route.method]]);
  }
  return methods;
}
