/** Metrics, health and readiness over HTTP, for whoever watches the gateway. */
import type { Metrics } from "../telemetry/metrics.ts";

export interface AdminView {
  /** Whether new connections are welcome. */
  readonly ready: boolean;
  readonly metrics: Metrics;
  /** It listens on loopback alone: only this machine's own names are asked for then. */
  readonly loopback: boolean;
}

/** Names that a browser resolves to the machine that it runs on, whatever name servers say. */
const LOCAL_HOST = /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[?::1\]?)$/;

/** Whether a host can be nothing but the machine itself. */
export function isLocalHost(hostname: string): boolean {
  return LOCAL_HOST.test(hostname);
}

/**
 * Answers `/metrics`, `/healthz` and `/readyz`; everything else is 404. On loopback another Host is 421: it is a web page
 * whose name was made to lead here (DNS rebinding).
 */
export function adminHandler(view: AdminView): (request: Request) => Promise<Response> {
  const pages: Record<string, () => Promise<Response> | Response> = {
    "/metrics": async () => {
      const { contentType, body } = await view.metrics.render();
      return new Response(body, { headers: { "content-type": contentType } });
    },
    "/healthz": () => text(200, "ok"),
    "/readyz": () => view.ready ? text(200, "ready") : text(503, "draining"),
  };
  return async (request) => {
    const { pathname, hostname } = new URL(request.url);
    if (view.loopback && !isLocalHost(hostname)) return text(421, "this is another machine's name");
    const page = Object.hasOwn(pages, pathname) ? pages[pathname] : undefined;
    if (!page) return text(404, "there are /metrics, /healthz and /readyz");
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "GET and HEAD only", { allow: "GET, HEAD" });
    }
    return await page();
  };
}

function text(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(`${body}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
