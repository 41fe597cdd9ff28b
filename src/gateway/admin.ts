/** Metrics, health and readiness over HTTP, for whoever watches the gateway. */
import type { Metrics } from "../telemetry/metrics.ts";

export interface AdminView {
  /** Whether new connections are welcome. */
  readonly ready: boolean;
  readonly metrics: Metrics;
}

/** Answers `/metrics`, `/healthz` and `/readyz`; everything else is 404. */
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
    const { pathname } = new URL(request.url);
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
