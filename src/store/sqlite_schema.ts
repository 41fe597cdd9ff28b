/** The tables of a store, and their edition. */
import type { Database } from "./database.ts";
import { StoreError } from "./types.ts";

/** Edition of the tables below; counts up when older programs could not use them. */
export const SCHEMA_VERSION = 1;

const TABLES = `
  CREATE TABLE schema (version INTEGER NOT NULL);
  CREATE TABLE documents (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (collection, key)
  ) WITHOUT ROWID;
`;

/**
 * Makes the tables in an empty database, or looks whether they are ours. Within a transaction.
 * @throws {StoreError} `newer`; `failed` for another program's database
 */
export function setUp(database: Database, version: number): void {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  if (tables.length === 0) {
    database.run(TABLES);
    database.run(`INSERT INTO schema VALUES (${version})`);
    return;
  }
  const names = tables.map(({ name }) => name);
  if (!names.includes("schema") || !names.includes("documents")) {
    throw new StoreError("failed", `the database ${database.path} belongs to another program`);
  }
  const found = Number(database.prepare("SELECT max(version) AS version FROM schema").get()?.version);
  if (found > version) {
    throw new StoreError(
      "newer",
      `the database ${database.path} was written by a newer version of this program (${found}, this one knows ${version})`,
    );
  }
}
