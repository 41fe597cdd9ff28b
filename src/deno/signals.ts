/** Numbers and names of signals. */
import { constants } from "node:os";

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals)
    // Of two names for one number the first counts; IOT and POLL are the old ones.
    .filter(([name]) => name !== "SIGIOT" && name !== "SIGPOLL")
    .map(([name, number]) => [number, name.replace(/^SIG/, "")]),
);

/** First real-time signal for programs: the C library keeps 32 and 33 to itself. */
const RTMIN = 34;

/** The name of signal `number` without `SIG`; real-time signals are `RTMIN+N`. */
export function signalName(number: number): string {
  const name = NAMES.get(number);
  if (name !== undefined) return name;
  return number === RTMIN ? "RTMIN" : number > RTMIN ? `RTMIN+${number - RTMIN}` : `${number}`;
}

/** The number of the signal called `name`, without `SIG`; undefined where this system has none of that name. */
export function signalNumber(name: string): number | undefined {
  return (constants.signals as Readonly<Record<string, number>>)[`SIG${name}`];
}
