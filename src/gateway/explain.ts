/** Why a gateway or an authority does not start, or has failed, for whoever started it. */
import { NetError } from "../platform/net.ts";
import { StateError } from "../platform/state.ts";
import { StoreError } from "../store/types.ts";
import { type ExitReason, StartError } from "./exit_codes.ts";

/** The row of the exit codes, and one sentence; of a mistake of ours, where it was made. */
export function explain(error: unknown): [ExitReason, string] {
  if (error instanceof StartError) return [error.reason, error.message];
  if (error instanceof StoreError || error instanceof StateError) return ["state", error.message];
  if (error instanceof NetError) return ["address", error.message];
  return ["failed", error instanceof Error ? error.stack ?? error.message : String(error)];
}

/** Where it cannot be listened, the sentence names the flags that say otherwise. */
export async function namingFlags<T>(flags: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    throw new NetError(error.code, `${error.message} (${flags})`, { cause: error });
  }
}
