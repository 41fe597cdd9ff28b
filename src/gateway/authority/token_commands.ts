/** `ca token …`: join tokens, made beside the running authority by whoever owns its state folder. */
import { CaError } from "../../ca/types.ts";
import { type Enrolment, type JoinActor, JoinError, type JoinToken } from "../../ca/enrolment.ts";
import { StartError } from "../exit_codes.ts";

export type TokenCommand =
  | { readonly name: "create"; readonly for: string; readonly lifetime?: number; readonly json: boolean }
  | { readonly name: "ls"; readonly json: boolean }
  | { readonly name: "rm"; readonly id: string };

/** Lines for standard output and standard error. */
export interface TokenOutput {
  readonly out: readonly string[];
  readonly err: readonly string[];
}

/** @throws {StartError} `usage` for what cannot be so, `state` when it cannot be kept */
export async function runTokenCommand(
  command: TokenCommand,
  tokens: Enrolment["tokens"],
  by: JoinActor,
): Promise<TokenOutput> {
  try {
    switch (command.name) {
      case "create": {
        const made = await tokens.create({ name: command.for, lifetime: command.lifetime }, by);
        const { token, id, name, expiresAt } = made;
        if (command.json) return { out: [JSON.stringify({ ...facts(made), token })], err: [] };
        // Out is the token and nothing else, for `TOKEN=$(…)`.
        return {
          out: [token],
          err: [`for ${name}, once, until ${new Date(expiresAt).toISOString()}; id ${id}`],
        };
      }
      case "ls": {
        const all = (await tokens.list()).map(facts);
        if (command.json) return { out: [JSON.stringify(all)], err: [] };
        const line = ({ id, name, expires, used }: ReturnType<typeof facts>) =>
          `${id}  ${name}  ${used ? `used ${used}` : `until ${expires}`}`;
        return { out: all.map(line), err: [] };
      }
      case "rm":
        if (await tokens.remove(command.id, by)) return { out: [], err: [] };
        throw new StartError("usage", "there is no such token; try token ls");
    }
  } catch (error) {
    if (error instanceof JoinError) throw new StartError("usage", error.message, { cause: error });
    if (error instanceof CaError) {
      throw new StartError(error.code === "unavailable" ? "state" : "usage", error.message, { cause: error });
    }
    throw error;
  }
}

function facts({ id, name, by, expiresAt, usedAt, fingerprint }: JoinToken) {
  return {
    id,
    name,
    by,
    expires: new Date(expiresAt).toISOString(),
    ...(usedAt !== undefined && { used: new Date(usedAt).toISOString(), fingerprint }),
  };
}
