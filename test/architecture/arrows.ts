/**
 * The rules of the house over its import graph, as pure functions: sources in, violations out.
 *
 * ARCHITECTURE.md draws the same arrows; this is what keeps them true.
 */

/** Source text by path from the project's root, `/` between folders. */
export type Sources = ReadonlyMap<string, string>;

export interface Import {
  /** File that imports. */
  readonly from: string;
  /** Project path of what is imported, or the specifier of a package. */
  readonly to: string;
  readonly line: number;
  /** Types alone: erased, so not in the graph that runs. */
  readonly typeOnly: boolean;
  /** By `import()`: loaded when it is reached. */
  readonly dynamic: boolean;
}

/**
 * Rooms from the ground up. A room may import itself and every row above it in this table; rooms that share a row may not
 * import each other.
 */
export const ROWS: readonly (readonly string[])[] = [
  ["bytes"],
  ["streams"],
  ["platform"],
  ["telemetry"],
  ["keys"],
  ["cert"],
  ["x509"],
  ["ssh/error"],
  ["ssh/wire"],
  ["ssh/algorithms"],
  ["ssh/transport"],
  ["ssh/auth"],
  ["ssh/connection"],
  ["ssh/forward", "ssh/session", "ssh/sftp"],
  ["ssh"],
  ["mod"],
  ["identity", "edge", "routing", "store", "mesh"],
  ["ca"],
  ["api"],
  ["gateway", "agent"],
  ["sshm"],
  ["cmd"],
];

/** What the runtime's adapters may run. The interfaces that they implement are types, and may be anybody's. */
const ADAPTERS_RUN = ["bytes", "streams", "platform", "telemetry", "deno"];

/** Rooms and packages that an agent must not carry (small agents: no store, no web, no parsers of other people's formats). */
export const NOT_IN_AN_AGENT: readonly string[] = [
  "gateway",
  "store",
  "api",
  "edge",
  "ca",
  "routing",
  "x509",
  "@peculiar/x509",
  "esbuild",
  "fast-check",
  "hono",
  "jose",
  "prom-client",
  "ssh2",
  "yaml",
  "zod",
];

/** Names that say nothing about what is inside. */
const DRAWERS = /(^|\/)(utils?|helpers?|common|managers?|misc|shared|lib)(\/|\.ts$|_test\.ts$)/;

/**
 * The room of a file: `keys`, `ssh/transport`, `cmd`, `test`. `src/ssh/error.ts` is one of its own, the other files right
 * in `src/ssh` (client, server) stand above all of ssh.
 */
export function roomOf(path: string): string {
  if (path === "mod.ts") return "mod";
  if (path === "src/ssh/error.ts") return "ssh/error";
  const parts = path.split("/");
  if (parts[0] !== "src") return parts[0];
  const depth = parts[1] === "ssh" ? 2 : 1;
  return parts.slice(1, Math.min(1 + depth, parts.length - 1)).join("/");
}

/** Imports of one file: static ones start a line, dynamic ones stand anywhere outside comments. */
export function importsOf(from: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, at: number, kind: { typeOnly?: boolean; dynamic?: boolean }) => {
    const line = source.slice(0, at).split("\n").length;
    found.push({ from, to: resolve(from, specifier), line, typeOnly: false, dynamic: false, ...kind });
  };
  const statements = /^(?:import|export)\b(?:([^;"'`]*?)\bfrom)?\s*["']([^"'\n]+)["']/gm;
  for (const match of source.matchAll(statements)) {
    add(match[2], match.index, { typeOnly: isTypeOnly(match[1] ?? "") });
  }
  for (const match of withoutComments(source).matchAll(/\bimport\(\s*["']([^"'\n]+)["']/g)) {
    add(match[1], match.index, { dynamic: true });
  }
  return found;
}

function isTypeOnly(clause: string): boolean {
  if (/^\s*type\b(?!\s*,)/.test(clause)) return true;
  const named = /^\s*\{([^}]*)\}\s*$/.exec(clause);
  return named !== null &&
    named[1].split(",").filter((name) => name.trim()).every((name) => /^\s*type\s/.test(name));
}

/** The source with comments blanked, offsets kept. Whole-line comments and ` // …` at a line's end; strings keep theirs. */
function withoutComments(source: string): string {
  return source.replaceAll(/^\s*(?:\/\*|\*|\/\/).*$|\s\/\/ .*$/gm, (comment) => " ".repeat(comment.length));
}

function resolve(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

const isFile = (to: string) => to.endsWith(".ts");
const outside = (room: string) => room === "test" || room === "cmd";

/** One rule: a sentence, and the violations it finds, each a line for people. */
export interface Rule {
  readonly sentence: string;
  check(sources: Sources): string[];
}

/** A rule about single imports inside the project. */
function importRule(sentence: string, allows: (from: string, to: string, imported: Import) => boolean): Rule {
  return {
    sentence,
    check: (sources) =>
      allImports(sources)
        .filter((imported) => isFile(imported.to))
        .filter((imported) => !allows(roomOf(imported.from), roomOf(imported.to), imported))
        .map(({ from, line, to }) => `${from}:${line} imports ${to}`),
  };
}

function allImports(sources: Sources): Import[] {
  return [...sources].flatMap(([path, source]) => importsOf(path, source));
}

function row(room: string): number {
  return ROWS.findIndex((rooms) => rooms.includes(room));
}

/**
 * Files and packages that run when `entry` runs, and the way to each: reached by imports that are not erased.
 * @param options.atStart only what is loaded before the first line runs
 */
export function reachedFrom(
  entry: string,
  sources: Sources,
  options: { readonly atStart?: boolean } = {},
): Map<string, string[]> {
  const paths = new Map([[entry, [entry]]]);
  for (const [at, path] of paths) {
    const source = sources.get(at);
    if (source === undefined) continue;
    for (const { to, typeOnly, dynamic } of importsOf(at, source)) {
      if (!typeOnly && !(dynamic && options.atStart) && !paths.has(to)) paths.set(to, [...path, to]);
    }
  }
  return paths;
}

/** `@scope/name` or `name` of a package specifier. */
function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

export const RULES: readonly Rule[] = [
  importRule("a room imports only itself and rooms below it", (from, to) => {
    if (outside(from) || from === "deno" || to === "deno" || from === to) return true;
    return row(to) >= 0 && row(to) < row(from);
  }),
  importRule(
    "only cmd and test import the adapters of src/deno",
    (from, to) => to !== "deno" || from === "deno" || outside(from),
  ),
  importRule(
    "the adapters of src/deno may name any interface, and run nothing above the platform",
    (from, to, { typeOnly }) => from !== "deno" || typeOnly || ADAPTERS_RUN.includes(to),
  ),
  importRule("nothing imports cmd, and nothing but tests imports test", (from, to) => {
    return from === "test" || (to !== "cmd" && to !== "test") || from === to;
  }),
  importRule("ssh asks callbacks and never imports identity", (from, to) => {
    return !/^ssh(\/|$)/.test(from) || to !== "identity";
  }),
  {
    sentence: "every room has a place in the table of rooms",
    check: (sources) =>
      [...new Set([...sources.keys()].map(roomOf))]
        .filter((room) => row(room) < 0 && room !== "deno" && room !== "test")
        .map((room) => `'${room}' is in no row`),
  },
  {
    sentence: "only src/deno, cmd and test name Deno or node: modules",
    check: (sources) =>
      [...sources].filter(([path]) => !outside(roomOf(path)) && roomOf(path) !== "deno").flatMap((
        [path, source],
      ) =>
        withoutComments(source).split("\n").flatMap((line, index) =>
          /\bDeno\s*\.|["']node:|\bDeno\b\s*\[/.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : []
        )
      ),
  },
  {
    sentence: "a package is named as deno.json names it, never by registry or address",
    check: (sources) =>
      allImports(sources).filter(({ to }) => /^(npm:|jsr:|https?:)/.test(to))
        .map(({ from, line, to }) => `${from}:${line} imports ${to}`),
  },
  {
    sentence: "no room or file is a drawer called utils, helpers, common or manager",
    check: (sources) => [...sources.keys()].filter((path) => DRAWERS.test(path)),
  },
  {
    sentence: "an agent carries no store, no gateway, no web and no parser of other people's formats",
    check: (sources) =>
      [...reachedFrom("cmd/agent.ts", sources)]
        .filter(([to]) => NOT_IN_AN_AGENT.includes(isFile(to) ? roomOf(to) : packageOf(to)))
        .map(([, path]) => path.join(" → ")),
  },
  {
    // Any node: module and any CommonJS package brings Deno's Node layer along: some ten megabytes for every agent.
    sentence:
      "an agent starts on its own code alone: packages and node: modules wait until something needs them",
    check: (sources) =>
      [...reachedFrom("cmd/agent.ts", sources, { atStart: true })]
        .filter(([to]) => !isFile(to))
        .map(([, path]) => path.join(" → ")),
  },
];

/** Sources of the project under `root`. */
export function readSources(root: URL): Sources {
  const sources = new Map<string, string>();
  const visit = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
      if (isDirectory) {
        if (folder !== "test/" || name !== "data") visit(`${folder}${name}/`);
      } else if (name.endsWith(".ts")) {
        sources.set(folder + name, Deno.readTextFileSync(new URL(folder + name, root)));
      }
    }
  };
  for (const folder of ["src/", "cmd/", "test/"]) visit(folder);
  sources.set("mod.ts", Deno.readTextFileSync(new URL("mod.ts", root)));
  return sources;
}
