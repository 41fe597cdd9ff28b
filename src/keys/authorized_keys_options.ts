/** The options at the start of an authorized_keys line: `restrict,pty,command="echo \"hi\""`. */
import { type PermittedAddress, type Restrictions, UNRESTRICTED } from "./restrictions.ts";
import { KeyError } from "./types.ts";

/** What the options of a line say. */
export interface LineOptions {
  /** The key signs certificates, and is no login key itself. */
  readonly authority: boolean;
  /** With `cert-authority`: one of these must be in the certificate. */
  readonly principals?: readonly string[];
  /** Pattern list of addresses and host names; see `matchFrom`. */
  readonly from?: string;
  /** Milliseconds since 1970: from then on the line does not count. */
  readonly expiresAt?: number;
  readonly restrictions: Restrictions;
}

/** The options under construction. */
interface Draft {
  authority: boolean;
  principals?: string[];
  from?: string;
  expiresAt?: number;
  restrictions: Restrictions;
}

function fault(reason: string): never {
  throw new KeyError("malformed", reason);
}

const permits = {
  "agent-forwarding": "permitAgentForwarding",
  "port-forwarding": "permitPortForwarding",
  "pty": "permitPty",
  "user-rc": "permitUserRc",
  "x11-forwarding": "permitX11Forwarding",
} as const;

type Flag = (draft: Draft) => void;
type Valued = (draft: Draft, value: string) => void;

function setting(change: Partial<Restrictions>): Flag {
  return (draft) => void (draft.restrictions = { ...draft.restrictions, ...change });
}

// In the order of the line: `restrict,pty` permits a terminal, `pty,restrict` does not.
const flags = new Map<string, Flag>([
  ...Object.entries(permits).flatMap(([name, member]): [string, Flag][] => [
    [name, setting({ [member]: true })],
    [`no-${name}`, setting({ [member]: false })],
  ]),
  ["restrict", setting(Object.fromEntries(Object.values(permits).map((member) => [member, false])))],
  ["cert-authority", (draft) => void (draft.authority = true)],
  ["no-touch-required", setting({ noTouchRequired: true })],
  ["verify-required", setting({ verifyRequired: true })],
]);

const valued = new Map<string, Valued>([
  ["command", (draft, value) => {
    if (draft.restrictions.forceCommand !== undefined) fault("`command` twice");
    setting({ forceCommand: value })(draft);
  }],
  ["environment", (draft, value) => {
    const [, name, content] = /^([A-Za-z0-9_]+)=(.*)$/s.exec(value) ??
      fault("`environment` is not NAME=value");
    // The first of several settings counts, as in sshd: here it is the last, and overwrites.
    setting({ environment: new Map([[name, content], ...draft.restrictions.environment]) })(draft);
  }],
  ["expiry-time", (draft, value) => {
    const expiresAt = parseTime(value);
    // Of several, the earliest.
    draft.expiresAt = Math.min(draft.expiresAt ?? Infinity, expiresAt);
  }],
  ["from", (draft, value) => {
    if (draft.from !== undefined) fault("`from` twice");
    draft.from = value;
  }],
  ["permitopen", (draft, value) => {
    const address = parseAddress(value);
    setting({ permitOpen: [...draft.restrictions.permitOpen ?? [], address] })(draft);
  }],
  ["permitlisten", (draft, value) => {
    const address = parseAddress(value.includes(":") ? value : `*:${value}`);
    setting({ permitListen: [...draft.restrictions.permitListen ?? [], address] })(draft);
  }],
  ["principals", (draft, value) => {
    if (draft.principals) fault("`principals` twice");
    const principals = value.split(",");
    if (principals.some((principal) => principal === "")) fault("`principals` holds an empty one");
    draft.principals = principals;
  }],
  ["tunnel", (draft, value) => {
    if (!/^(any|\d{1,9})$/.test(value)) fault("`tunnel` is not a device number");
    if (draft.restrictions.tunnel !== undefined) fault("`tunnel` twice");
    setting({ tunnel: value })(draft);
  }],
]);

/**
 * Splits a line where its options end: at the first white space outside quotes.
 * @returns options and rest
 * @throws {KeyError}
 */
export function splitOptions(line: string): [options: string, rest: string] {
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const character = line[at];
    if (character === "\\" && line[at + 1] === '"') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && (character === " " || character === "\t")) {
      return [line.slice(0, at), line.slice(at).trim()];
    }
  }
  return fault(
    quoted ? "a quotation mark is not closed" : "neither a key nor options with a key behind them",
  );
}

/** Reads options as {@link splitOptions} returns them. @throws {KeyError} for any that is not known or not right */
export function readOptions(options: string): LineOptions {
  const draft: Draft = { authority: false, restrictions: UNRESTRICTED };
  let rest = options;
  while (rest !== "") {
    const match = /^([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(?:,(?=.)|$)/s.exec(rest);
    if (!match) fault("the options cannot be read");
    const [whole, written, value] = match;
    const name = written.toLowerCase();
    if (value === undefined) {
      const flag = flags.get(name) ?? fault(valued.has(name) ? `\`${name}\` needs a value` : unknown(name));
      flag(draft);
    } else {
      const set = valued.get(name) ?? fault(flags.has(name) ? `\`${name}\` takes no value` : unknown(name));
      // Only the quotation mark is escaped: every other backslash stands for itself.
      set(draft, value.replaceAll('\\"', '"'));
    }
    rest = rest.slice(whole.length);
  }
  if (draft.principals && !draft.authority) fault("`principals` without `cert-authority`");
  return draft;
}

function unknown(name: string): string {
  return `option \`${name.slice(0, 32)}\` is not known`;
}

/** `host:port`, `[host]:port`; `*` for any port. */
function parseAddress(value: string): PermittedAddress {
  const match = /^(?:\[([^\]\s]+)\]|([^:\s]+)):(\d{1,5}|\*)$/.exec(value);
  if (!match) fault("the address is not host:port");
  const port = match[3] === "*" ? undefined : Number(match[3]);
  if (port !== undefined && (port < 1 || port > 65535)) fault("the port is out of range");
  return { host: match[1] ?? match[2], port };
}

/**
 * `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`; with Z in UTC, otherwise in the system's time zone.
 * @returns milliseconds since 1970
 */
function parseTime(value: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/i.exec(value);
  if (!match) fault("the time is not YYYYMMDD[HHMM[SS]][Z]");
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0));
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) fault("there is no such time");
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (day < 1 || day > days) fault("there is no such day");
  return match[7]
    ? Date.UTC(year, month - 1, day, hour, minute, second)
    : new Date(year, month - 1, day, hour, minute, second).getTime();
}
