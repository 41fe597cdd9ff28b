/**
 * The log: what happens, for whoever runs this. Rooms ask {@link logger} for theirs; nothing is written until `cmd/` has
 * called {@link configureLogging}, so the library is silent by itself.
 *
 * ```ts
 * import { logger } from "./log.ts";
 * logger("routing").info("{name} is served by {holder}", { name: "web.localhost", holder: "10.0.0.7:4000" });
 * ```
 */
import {
  configureSync,
  getLogger,
  type Logger,
  type LogLevel,
  type LogRecord,
  resetSync,
} from "@logtape/logtape";
import { jsonLine, loggable, loggableText } from "./json_line.ts";

export type { Logger, LogLevel };

const ROOT = "ssh-mesh";

/** The logger of a room. Messages are templates: `{name}` stands for a property, never for text put together. */
export function logger(room: string): Logger {
  return getLogger([ROOT, room]);
}

/** `json`: one object a line, for machines; `text`: for people, who are told nothing twice. */
export type LogFormat = "json" | "text";

/** Where the log goes, and how. */
export interface LogOptions {
  readonly format: LogFormat;
  /** The least that is written. Default `info`. */
  readonly level?: LogLevel;
  /** Takes one line without its break. Must not throw. */
  readonly write: (line: string) => void;
}

/** Starts writing the log; a second call replaces the first. */
export function configureLogging(options: LogOptions): void {
  const { format, level = "info", write } = options;
  const formatRecord = FORMATS[format];
  configureSync({
    reset: true,
    sinks: { lines: (record: LogRecord) => write(formatRecord(record)) },
    loggers: [
      { category: [ROOT], lowestLevel: level, sinks: ["lines"] },
      // The library's word about itself would go to the console.
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
}

/** Stops writing the log. */
export function stopLogging(): void {
  resetSync();
}

const FORMATS: Readonly<Record<LogFormat, (record: LogRecord) => string>> = {
  json: (record) => jsonLine({ ...head(record), message: messageOf(record), ...propertiesOf(record) }),
  text(record) {
    const { time, level, room } = head(record);
    const properties = Object.entries(propertiesOf(record))
      .filter(([key]) => !isSaid(record, key))
      .map(([key, value]) => ` ${key}=${inText(value)}`);
    return `${time} ${level.padEnd(7)} ${room}: ${messageOf(record)}${properties.join("")}`;
  },
};

function head(record: LogRecord): { time: string; level: LogLevel; room: string } {
  return {
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    room: record.category.slice(1).join("."),
  };
}

/** Texts of the template and values of its properties in turn. */
function messageOf(record: LogRecord): string {
  const names = typeof record.rawMessage === "string" ? [...record.rawMessage.matchAll(/\{(\w+)\}/g)] : [];
  return record.message.map((part, i) => {
    if (i % 2 === 0) return loggableText(String(part));
    const sentence = typeof part === "string" && SENTENCES.has(names[(i - 1) / 2]?.[1]);
    return sentence ? loggableText(part) : inText(loggable(part));
  }).join("");
}

/** Properties that are this program's own words, and need no quotes to be told from them. */
const SENTENCES: ReadonlySet<string> = new Set(["provider", "reason", "why", "warning"]);

const HEAD_NAMES: ReadonlySet<string> = new Set(["time", "level", "room", "message"]);

/** Made loggable, and with names that do not hide the head's. */
function propertiesOf(record: LogRecord): Record<string, unknown> {
  const properties = loggable(record.properties) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [HEAD_NAMES.has(key) ? `${key}_` : key, value]),
  );
}

/** Whether the message itself tells the property. */
function isSaid({ rawMessage }: LogRecord, key: string): boolean {
  return typeof rawMessage === "string" && rawMessage.includes(`{${key}}`);
}

function inText(value: unknown): string {
  return typeof value === "string" && !/[\s"=]/.test(value) && value !== ""
    ? value
    : JSON.stringify(value) ?? "null";
}
