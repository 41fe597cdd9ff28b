/** What follows want_reply in the channel requests of a session (RFC 4254 §6, RFC 4335). */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { ExitStatus, TerminalSize } from "../../platform/process.ts";
import { encodeTerminalModes, parseTerminalModes, type TerminalModes } from "./terminal_modes.ts";

/** A window in characters and, where the client knows it, in pixels (otherwise 0). */
export interface WindowSize extends TerminalSize {
  readonly widthPixels: number;
  readonly heightPixels: number;
}

/** `pty-req` (RFC 4254 §6.2). */
export interface PtyRequest extends WindowSize {
  /** Value of `TERM`. */
  readonly term: string;
  readonly modes: TerminalModes;
}

/** How a request's data is written and read. Reading throws {@link MalformedError}. */
export interface RequestCodec<T> {
  encode(value: T): Bytes;
  decode(data: Bytes): T;
}

/** Reads with `read` and insists on the end. */
function codec<T>(encode: (writer: Writer, value: T) => void, read: (reader: Reader) => T): RequestCodec<T> {
  return {
    encode(value) {
      const writer = new Writer();
      encode(writer, value);
      return writer.finish();
    },
    decode(data) {
      const reader = new Reader(data);
      const value = read(reader);
      reader.end();
      return value;
    },
  };
}

function writeWindow(writer: Writer, size: WindowSize): Writer {
  return writer.uint32(size.columns).uint32(size.rows).uint32(size.widthPixels).uint32(size.heightPixels);
}

function readWindow(reader: Reader): WindowSize {
  const columns = reader.uint32();
  const rows = reader.uint32();
  const widthPixels = reader.uint32();
  const heightPixels = reader.uint32();
  return { columns, rows, widthPixels, heightPixels };
}

/** `string` as UTF-8: `exec` and `subsystem`. */
export const textRequest: RequestCodec<string> = codec(
  (writer, text) => writer.string(text),
  (reader) => reader.utf8(),
);

/** `pty-req`. */
export const ptyRequest: RequestCodec<PtyRequest> = codec(
  (writer, pty) => writeWindow(writer.string(pty.term), pty).string(encodeTerminalModes(pty.modes)),
  (reader) => {
    const term = reader.utf8();
    const size = readWindow(reader);
    return { term, ...size, modes: parseTerminalModes(reader.string()) };
  },
);

/** `window-change` (RFC 4254 §6.7). */
export const windowChange: RequestCodec<WindowSize> = codec(writeWindow, readWindow);

/** `env` (RFC 4254 §6.4). */
export const envRequest: RequestCodec<{ name: string; value: string }> = codec(
  (writer, { name, value }) => writer.string(name).string(value),
  (reader) => {
    const name = reader.utf8();
    return { name, value: reader.utf8() };
  },
);

/** `signal` (RFC 4254 §6.9): the name without `SIG`. */
export const signalRequest: RequestCodec<string> = textRequest;

/** `break` (RFC 4335): milliseconds. */
export const breakRequest: RequestCodec<number> = codec(
  (writer, milliseconds) => writer.uint32(milliseconds),
  (reader) => reader.uint32(),
);

/** Signals that `exit-signal` names without a domain (RFC 4254 §6.10). */
const SIGNALS: ReadonlySet<string> = new Set(
  "ABRT ALRM FPE HUP ILL INT KILL PIPE QUIT SEGV TERM USR1 USR2".split(" "),
);

/** What OpenSSH says for the other signals. */
const OTHER_SIGNAL = "SIG@openssh.com";

/** The request that reports `status`: `exit-status` or `exit-signal`. */
export function exitRequest(status: ExitStatus): { type: string; data: Bytes } {
  if ("code" in status) {
    return { type: "exit-status", data: new Writer().uint32(status.code).finish() };
  }
  const known = SIGNALS.has(status.signal);
  const data = new Writer()
    .string(known ? status.signal : OTHER_SIGNAL)
    .boolean(status.coreDumped)
    .string(known ? "" : `ended by signal ${status.signal}`)
    .string("");
  return { type: "exit-signal", data: data.finish() };
}

/** The status that a request reports; undefined for any other request. @throws {MalformedError} */
export function parseExitRequest(type: string, data: Bytes): ExitStatus | undefined {
  const reader = new Reader(data);
  if (type === "exit-status") return { code: reader.uint32() };
  if (type === "exit-signal") {
    const signal = reader.text();
    return { signal, coreDumped: reader.boolean() };
  }
}

/** Requests without data. */
export const NO_DATA: Bytes = EMPTY;
