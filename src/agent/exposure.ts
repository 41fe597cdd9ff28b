/** What an agent registers at its gateways: the `--expose` flag. */

/** One port that others reach by the agent's name. */
export interface Exposure {
  /** Port to register; 0 leaves the choice to the gateway. */
  readonly port: number;
  /** Where its connections go: the built-in SSH server, or an address that this machine reaches. */
  readonly target: "ssh" | { readonly host: string; readonly port: number };
}

/** Without `--expose`. */
export const DEFAULT_EXPOSURES: readonly Exposure[] = [{ port: 22, target: "ssh" }];

/**
 * Reads `PORT[:HOST:PORT]`. A port alone is the built-in SSH server for 22 and 0, the same port of this machine for
 * all others; `PORT:ssh` is the built-in server at any port.
 * @throws {TypeError} with a sentence
 */
export function parseExposure(text: string): Exposure {
  const match = /^(\d{1,5})(?::(?:(ssh)|(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})))?$/.exec(text);
  const port = Number(match?.[1]);
  const targetPort = match?.[5] === undefined ? port : Number(match[5]);
  if (!match || port > 65535 || targetPort > 65535 || (match[5] !== undefined && targetPort === 0)) {
    throw new TypeError(
      `'${text}' is nothing to expose: write 22, 8080, 8080:127.0.0.1:3000 or 2222:ssh for the built-in server`,
    );
  }
  const host = match[3] ?? match[4];
  if (host !== undefined) return { port, target: { host, port: targetPort } };
  if (match[2] === "ssh" || port === 22 || port === 0) return { port, target: "ssh" };
  return { port, target: { host: "127.0.0.1", port } };
}
