/** What a gateway or an authority keeps in its state folder beside keys: records of what happened, and the store. */
import type { Clock } from "../platform/clock.ts";
import type { JournalLimits, StateFolder } from "../platform/state.ts";
import type { Database } from "../store/database.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { Store } from "../store/types.ts";
import type { Logger } from "../telemetry/log.ts";

/** Files of records: 64 MiB each, of which eight old ones are kept. */
export const RECORD_LIMITS: JournalLimits = { maxBytes: 64 * 1024 * 1024, keep: 8 };

/** Serial numbers, revocations, join tokens. */
const STORE_NAME = "store.sqlite";

/** Lines of JSON, one a record. */
export interface Records extends AsyncDisposable {
  /** Never throws. */
  readonly append: (line: string) => void;
}

/** Opens `name` in the state folder; that records wait or are being lost is told `log`. */
export async function openRecords(
  state: StateFolder,
  name: string,
  log: Logger,
  limits: JournalLimits = RECORD_LIMITS,
): Promise<Records> {
  const journal = await state.openJournal(name, {
    ...limits,
    onDelay: (cause) => log.error("{name} cannot be written, its records wait: {reason}", told(name, cause)),
    onLoss: (cause) => log.error("records of {name} are being lost: {reason}", told(name, cause)),
  });
  return { append: (line) => journal.append(line), [Symbol.asyncDispose]: () => journal.close() };
}

function told(name: string, cause: unknown) {
  return { name, reason: cause instanceof Error ? cause.message : String(cause) };
}

/** Opens the store in the state folder. @throws {StoreError} */
export async function openKeptStore(
  { path }: Pick<StateFolder, "path">,
  openDatabase: (path: string) => Database,
  clock: Clock,
): Promise<{ readonly store: Store } & AsyncDisposable> {
  const store = await openSqliteStore(openDatabase(`${path}/${STORE_NAME}`), { clock });
  return { store, [Symbol.asyncDispose]: () => store.close() };
}
