/** Values as one line of JSON that is safe to write to a log: bounded, printable, without secrets. */
import { printable } from "../bytes/printable.ts";

/** Characters of one string: a longer one is a document, not a value. */
const MAX_STRING = 4096;
/** Entries of one array or object. */
const MAX_ENTRIES = 100;
/** Levels of nesting: also what ends a cycle. */
const MAX_DEPTH = 6;

const REDACTED = "[redacted]";

/** Property names whose values are never written, whatever they are. */
const SECRET_NAME =
  /pass(word|phrase)|secret|token$|token_?value|private_?key|authorization|cookie|^bearer$/i;

/** Secrets inside other text: tokens (JWT), join tokens, private keys, Authorization values. */
const SECRET_TEXT =
  /sshm1\.[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|\bBearer\s+[\w.~+/=-]{8,}/g;

/** `text` on one line, without anything that looks like a secret. */
export function loggableText(text: string): string {
  return printable(text.replaceAll(SECRET_TEXT, REDACTED), MAX_STRING);
}

/**
 * `value` as JSON can hold it: strings printable and cut, secrets replaced, errors as name, code, message and cause,
 * bytes as their count, functions left out.
 */
export function loggable(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "string":
      return loggableText(value);
    case "bigint":
      return value.toString();
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "object":
      return value === null ? null : loggableObject(value, depth);
    default:
      return undefined;
  }
}

function loggableObject(value: object, depth: number): unknown {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `<${value.byteLength} bytes>`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (depth >= MAX_DEPTH) return "…";
  if (value instanceof Error) {
    const { name, message, cause } = value;
    const code: unknown = (value as { code?: unknown }).code;
    return loggableObject({
      name,
      ...(code !== undefined && { code }),
      message,
      ...(cause !== undefined && { cause }),
    }, depth);
  }
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ENTRIES).map((item) => loggable(item, depth + 1) ?? null);
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const result: Record<string, unknown> = Object.create(null);
  for (const [key, item] of entries.slice(0, MAX_ENTRIES)) {
    const name = loggableText(String(key));
    result[name] = SECRET_NAME.test(name) && item !== undefined ? REDACTED : loggable(item, depth + 1);
  }
  return result;
}

/** `value` as one line of JSON, without the line break. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(loggable(value)) ?? "null";
}
