/** What follows want_reply in the channel requests of a session (RFC 4254 §6, RFC 4335). */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { type Codec, codec, type Field, struct, uint32, utf8 } from "../../bytes/struct.ts";
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

const window = { columns: uint32, rows: uint32, widthPixels: uint32, heightPixels: uint32 };

const terminalModes: Field<TerminalModes> = {
  read: (reader) => parseTerminalModes(reader.string()),
  write: (writer, modes) => writer.string(encodeTerminalModes(modes)),
};

/** `exec` and `subsystem` (RFC 4254 §6.5). */
export const textRequest: Codec<string> = codec(utf8);

/** `pty-req`. */
export const ptyRequest: Codec<PtyRequest> = codec(struct({ term: utf8, ...window, modes: terminalModes }));

/** `window-change` (RFC 4254 §6.7). */
export const windowChange: Codec<WindowSize> = codec(struct(window));

/** `env` (RFC 4254 §6.4). */
export const envRequest: Codec<{ readonly name: string; readonly value: string }> = codec(
  struct({ name: utf8, value: utf8 }),
);

/** `signal` (RFC 4254 §6.9): the name without `SIG`. */
export const signalRequest: Codec<string> = textRequest;

/** `break` (RFC 4335): milliseconds. */
export const breakRequest: Codec<number> = codec(uint32);

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
