/** Terminal modes of RFC 4254 §8 as arguments of `stty`. */

/** Control characters by opcode. `VDSUSP`, `VSTATUS` and `VFLUSH` have no meaning on Linux. */
const CHARACTERS: Readonly<Record<number, string>> = {
  1: "intr",
  2: "quit",
  3: "erase",
  4: "kill",
  5: "eof",
  6: "eol",
  7: "eol2",
  8: "start",
  9: "stop",
  10: "susp",
  12: "rprnt",
  13: "werase",
  14: "lnext",
};

/** Switches by opcode. `PENDIN` is a state rather than a wish and is left out. */
const SWITCHES: Readonly<Record<number, string>> = {
  30: "ignpar",
  31: "parmrk",
  32: "inpck",
  33: "istrip",
  34: "inlcr",
  35: "igncr",
  36: "icrnl",
  37: "iuclc",
  38: "ixon",
  39: "ixany",
  40: "ixoff",
  41: "imaxbel",
  42: "iutf8",
  50: "isig",
  51: "icanon",
  52: "xcase",
  53: "echo",
  54: "echoe",
  55: "echok",
  56: "echonl",
  57: "noflsh",
  58: "tostop",
  59: "iexten",
  60: "echoctl",
  61: "echoke",
  70: "opost",
  71: "olcuc",
  72: "onlcr",
  73: "ocrnl",
  74: "onocr",
  75: "onlret",
  92: "parenb",
  93: "parodd",
};

const CS7 = 90;
const CS8 = 91;

/** "Undefined" of RFC 4254 §8 for a control character. */
const UNDEFINED_CHARACTER = 255;

/**
 * The arguments that set `modes`, in their order; those that `stty` does not know everywhere are left out, and so
 * are the speeds, which a pseudo-terminal does not have.
 */
export function sttyArguments(modes: ReadonlyMap<number, number>): string[] {
  const args: string[] = [];
  for (const [opcode, value] of modes) {
    if (CHARACTERS[opcode] !== undefined) {
      if (value > UNDEFINED_CHARACTER) continue;
      args.push(CHARACTERS[opcode], value === UNDEFINED_CHARACTER ? "undef" : controlCharacter(value));
    } else if (SWITCHES[opcode] !== undefined) {
      args.push(value === 0 ? `-${SWITCHES[opcode]}` : SWITCHES[opcode]);
    } else if (opcode === CS7 && value !== 0) {
      args.push("cs7");
    } else if (opcode === CS8 && value !== 0) {
      args.push("cs8");
    }
  }
  return args;
}

/** Hexadecimal is taken for a number by every `stty`, where a lone digit would be the digit's own character. */
function controlCharacter(value: number): string {
  return `0x${value.toString(16)}`;
}
