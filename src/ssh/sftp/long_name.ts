/** Lines as `ls -l` writes them: what older clients show to people. */
import { type FileStat, FileType, isType } from "../../platform/files.ts";

const TYPE_LETTERS: readonly (readonly [type: number, letter: string])[] = [
  [FileType.regular, "-"],
  [FileType.directory, "d"],
  [FileType.symlink, "l"],
  [FileType.characterDevice, "c"],
  [FileType.blockDevice, "b"],
  [FileType.fifo, "p"],
  [FileType.socket, "s"],
];

/** `-rwxr-xr-x`, with `s`, `S`, `t` and `T` for the bits above 0o777. */
export function formatMode(mode: number): string {
  const letters = Array.from("rwxrwxrwx", (letter, i) => mode & (0o400 >> i) ? letter : "-");
  const special = (bit: number, at: number, set: string) => {
    if (mode & bit) letters[at] = letters[at] === "x" ? set : set.toUpperCase();
  };
  special(0o4000, 2, "s");
  special(0o2000, 5, "s");
  special(0o1000, 8, "t");
  const type = TYPE_LETTERS.find(([type]) => isType({ mode }, type))?.[1] ?? "?";
  return type + letters.join("");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `ls` shows the year in place of the time for what is older than this (or lies ahead), in seconds. */
const RECENT = 365 / 2 * 24 * 3600;

function formatTime(seconds: number, now: number): string {
  const date = new Date(seconds * 1000);
  const pad = (value: number, filler: string) => String(value).padStart(2, filler);
  const recent = seconds <= now && now - seconds < RECENT;
  const clock = recent
    ? `${pad(date.getHours(), "0")}:${pad(date.getMinutes(), "0")}`
    : String(date.getFullYear()).padStart(5);
  return `${MONTHS[date.getMonth()]} ${pad(date.getDate(), " ")} ${clock}`;
}

/**
 * One line of `ls -l`, without an end of line.
 * @param owner names, or the ids as text
 * @param now seconds since 1970; times are local, as `ls` has them
 */
export function formatLongName(
  name: string,
  stat: FileStat,
  owner: { readonly user: string; readonly group: string },
  now: number,
): string {
  return [
    formatMode(stat.mode),
    String(stat.links).padStart(3),
    owner.user.padEnd(8),
    owner.group.padEnd(8),
    String(stat.size).padStart(8),
    formatTime(stat.modified, now),
    name,
  ].join(" ");
}
