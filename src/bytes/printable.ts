/**
 * Text from a peer made fit for a log line or a terminal.
 *
 * User names, banners and disconnect texts are whatever the peer chose: escape sequences that rewrite the screen, line
 * breaks that forge a log entry, bidirectional marks that make one name read as another. Here they become visible.
 */

/** Controls (C0, DEL, C1), format characters (bidi marks, zero width, tags), lone surrogates, line separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Characters of a peer's word that a log line has room for. */
const LINE_LIMIT = 256;

/** Characters of a banner that is still a banner; a long legal notice has about 4000. */
const TEXT_LIMIT = 16384;

/**
 * `text` as one printable line: every unprintable character written as `\u{1b}`, and cut with `…` after `limit`
 * characters. Backslashes stay as they are: the result is for reading, not for decoding.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { printable } from "./printable.ts";
 * assert.equal(printable("root\n\x1b[2J"), "root\\u{a}\\u{1b}[2J");
 * ```
 */
export function printable(text: string, limit = LINE_LIMIT): string {
  return cut(text, limit).replaceAll(UNPRINTABLE, escape);
}

/** `text` as printable lines: as {@link printable}, but line breaks (as `\n`) and tabs stay. */
export function printableLines(text: string, limit = TEXT_LIMIT): string {
  return cut(text.replaceAll("\r\n", "\n"), limit)
    .replaceAll(UNPRINTABLE, (found) => found === "\n" || found === "\t" ? found : escape(found));
}

function escape(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : text.slice(0, limit) + "…";
}
