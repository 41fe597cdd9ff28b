/** What an agent tells about itself, as lines for programs or for people. */
import { jsonLine, loggableText } from "../telemetry/json_line.ts";

export type AgentEvent =
  /** Everything asked for is in place for the first time; with `listen`, the built-in server accepts there. */
  | { readonly event: "ready"; readonly gateway?: string; readonly listen?: readonly string[] }
  /** One port is registered. Without `name` it is the credential's own. */
  | { readonly event: "registered"; readonly name?: string; readonly port: number; readonly gateway: string }
  /** One port is not, or no more. */
  | {
    readonly event: "refused";
    readonly name?: string;
    readonly port: number;
    readonly gateway: string;
    readonly reason?: string;
  }
  /** Connections to `listen` go to `to`. */
  | { readonly event: "forward"; readonly listen: string; readonly to: string }
  /** A dial failed, or a connection to a gateway ended. */
  | {
    readonly event: "disconnected";
    readonly gateway: string;
    readonly reason: string;
    readonly retryMs?: number;
  }
  /** The gateway asked to go elsewhere. */
  | { readonly event: "draining"; readonly gateway: string }
  /** A host key was believed because it was the first, or changed as its gateway announced. */
  | { readonly event: "pinned"; readonly gateway: string; readonly fingerprint: string }
  /** A join token was used up: from now on the key logs in. */
  | {
    readonly event: "enrolled";
    readonly gateway: string;
    readonly name: string;
    readonly fingerprint: string;
  }
  /** A gateway gave a certificate: for the built-in server's host key, or to log in with. */
  | {
    readonly event: "certificate";
    readonly gateway: string;
    readonly role: "host" | "user";
    readonly principals: readonly string[];
    readonly serial: string;
    /** ISO 8601; undefined: never. */
    readonly expires?: string;
  }
  /** Somebody logged in on the built-in server, or did not. */
  | {
    readonly event: "login";
    readonly user: string;
    readonly from: string;
    readonly result: "accepted" | "refused";
    readonly credential?: string;
    readonly reason?: string;
  }
  /** A login was taken back: its credential is revoked, or would not be let in any more. */
  | {
    readonly event: "ended";
    readonly user: string;
    readonly from: string;
    readonly credential: string;
    readonly reason: string;
  }
  | { readonly event: "warning"; readonly message: string }
  | { readonly event: "info"; readonly message: string }
  /** Why the agent ends, unless it was asked to. */
  | { readonly event: "error"; readonly message: string };

/** Takes note of events. Never throws. */
export type EventLog = (event: AgentEvent) => void;

/** One line of JSON, without its end, with the time. @param now milliseconds since 1970 */
export function formatJson(event: AgentEvent, now: number): string {
  const { event: name, ...members } = event;
  return jsonLine({ event: name, time: new Date(now).toISOString(), ...members });
}

/** One line for people, without its end. */
export function formatText(event: AgentEvent): string {
  return loggableText(sentence(event));
}

function sentence(event: AgentEvent): string {
  switch (event.event) {
    case "ready":
      if (event.listen) return `ready: listens on ${event.listen.join(", ")}`;
      return `ready${event.gateway ? `: registered at ${event.gateway}` : ""}`;
    case "registered":
      return `registered ${registration(event)} at ${event.gateway}`;
    case "refused":
      return `${event.gateway} refuses to register ${registration(event)}${
        event.reason ? `: ${event.reason}` : ""
      }`;
    case "forward":
      return `${event.listen} leads to ${event.to}`;
    case "disconnected": {
      const retry = event.retryMs === undefined ? "" : `; next try in ${(event.retryMs / 1000).toFixed(1)} s`;
      // Where it cannot be dialled the reason says so of it.
      const reason = event.reason.replace(`cannot dial ${event.gateway}: `, "");
      return `${event.gateway}: ${reason}${retry}`;
    }
    case "draining":
      return `${event.gateway} is about to stop: what is open goes on, the next connection goes elsewhere`;
    case "pinned":
      return `WARNING: the host key of ${event.gateway} was not known and is believed from now on: ${event.fingerprint}. ` +
        "Compare it with what the gateway prints at its start";
    case "enrolled":
      return `enrolled at ${event.gateway} as ${event.name} with the key ${event.fingerprint}`;
    case "certificate": {
      const what = event.role === "host" ? "the host key is certified" : "a certificate to log in with";
      const until = event.expires ? ` until ${event.expires}` : "";
      return `${event.gateway}: ${what} for ${event.principals.join(", ")}${until}`;
    }
    case "ended":
      return `login of ${event.user} from ${event.from} by ${event.credential} ended: ${event.reason}`;
    case "login": {
      const { user, from, result, credential, reason } = event;
      return `login of ${user} from ${from} ${result}${credential ? ` by ${credential}` : ""}${
        reason ? `: ${reason}` : ""
      }`;
    }
    case "warning":
      return `warning: ${event.message}`;
    case "info":
    case "error":
      return event.message;
  }
}

function registration({ name, port }: { name?: string; port: number }): string {
  return name === undefined ? `port ${port} under its own name` : `${name}:${port}`;
}
