/**
 * Makes the root folder of a container image: one command's modules, Deno, and the libraries that both need. Nothing else: no
 * shell, no package manager. The Dockerfile copies it into an empty image.
 *
 *   deno run -A deploy/image_root.ts cmd/agent.ts FOLDER
 *
 * In it: /bin/deno, /app (the modules that the command reaches, and their configuration), /deno-dir (the packages that
 * those import, and the compiled modules), shared libraries, certificates of public authorities where the system has
 * them, and an account `nonroot` (65532). Needs `ldd` and, for speed of encryption, libcrypto.so.3 on this system.
 */
import { libcryptoPaths } from "../src/deno/libcrypto_library.ts";

/** The account that containers run as, by number, as other minimal images have it. */
const ACCOUNT = 65532;

/** What packages carry that does not run. */
const DEAD_WEIGHT = /(\.d\.[cm]?ts|\.map|\.md|\.markdown|LICENSE.*|\.flow)$/i;

const project = new URL("../", import.meta.url);

interface ModuleInfo {
  readonly kind?: string;
  readonly local?: string;
  readonly dependencies?: readonly { readonly specifier: string }[];
}

/** Makes `folder` the root for `entry`, a path from the project's root. The folder must be new or empty. */
export async function makeImageRoot(entry: string, folder: string): Promise<void> {
  Deno.mkdirSync(folder, { recursive: true });
  if ([...Deno.readDirSync(folder)].length > 0) throw new TypeError(`${folder} is not empty`);
  const modules = await modulesOf(entry);
  copyModules(modules, folder);
  writeConfiguration(modules, folder);
  await cachePackages(entry, folder);
  copyFile(Deno.execPath(), `${folder}/bin/deno`);
  for (const library of await libraries(folder)) copyFile(library, folder + library);
  writeSystemFiles(folder);
}

async function output(file: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout } = await new Deno.Command(file, { args, env, cwd: project, stderr: "inherit" })
    .output();
  if (!success) throw new Error(`${file} ${args.join(" ")} failed`);
  return new TextDecoder().decode(stdout);
}

async function modulesOf(entry: string): Promise<ModuleInfo[]> {
  return JSON.parse(await output(Deno.execPath(), ["info", "--json", entry])).modules;
}

function copyFile(from: string, to: string): void {
  Deno.mkdirSync(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  Deno.copyFileSync(from, to); // follows links, keeps the mode
}

function copyModules(modules: readonly ModuleInfo[], folder: string): void {
  for (const { local } of modules) {
    if (local?.startsWith(project.pathname)) {
      copyFile(local, `${folder}/app/${local.slice(project.pathname.length)}`);
    }
  }
}

/** deno.json with no more packages than the modules import: Deno caches all that it names. */
function writeConfiguration(modules: readonly ModuleInfo[], folder: string): void {
  const whole = JSON.parse(Deno.readTextFileSync(new URL("deno.json", project)));
  const specifiers = new Set(
    modules.flatMap(({ dependencies = [] }) => dependencies.map(({ specifier }) => specifier)),
  );
  const imported = (name: string) =>
    [...specifiers].some((specifier) =>
      specifier === name || specifier.startsWith(name.replace(/\/?$/, "/"))
    );
  const imports = Object.fromEntries(Object.entries(whole.imports).filter(([name]) => imported(name)));
  const { nodeModulesDir, version } = whole;
  Deno.writeTextFileSync(
    `${folder}/app/deno.json`,
    JSON.stringify({ version, nodeModulesDir, imports }, null, 2) + "\n",
  );
  // With it every package is checked against the hash that was committed.
  copyFile(new URL("deno.lock", project).pathname, `${folder}/app/deno.lock`);
}

async function cachePackages(entry: string, folder: string): Promise<void> {
  const config = `${folder}/app/deno.json`;
  await output(Deno.execPath(), ["cache", "--quiet", "--config", config, `${folder}/app/${entry}`], {
    DENO_DIR: `${folder}/deno-dir`,
  });
  for (const path of files(`${folder}/deno-dir`)) if (DEAD_WEIGHT.test(path)) Deno.removeSync(path);
  // Compiled modules are kept by where they were compiled; the image has them at /app.
  const gen = `${folder}/deno-dir/gen/file`;
  Deno.mkdirSync(`${gen}.new`, { recursive: true });
  Deno.renameSync(`${gen}${folder}/app`, `${gen}.new/app`);
  Deno.removeSync(gen, { recursive: true });
  Deno.renameSync(`${gen}.new`, gen);
}

/** Absolute paths of the shared libraries that Deno and the packages' binaries need, and of the loader. */
async function libraries(folder: string): Promise<Set<string>> {
  const found = new Set<string>();
  const binaries = [
    Deno.execPath(),
    ...[...files(`${folder}/deno-dir`)].filter((path) => path.endsWith(".node")),
  ];
  const libcrypto = libcryptoPaths().find(exists);
  if (libcrypto === undefined) console.error("no libcrypto.so.3 here: the image will encrypt slowly");
  else {
    binaries.push(libcrypto);
    found.add(libcrypto);
  }
  for (const binary of binaries) {
    for (const [path] of (await output("ldd", [binary])).matchAll(/\/\S+\.so\S*/g)) {
      if (path !== `${binary}:`) found.add(path);
    }
  }
  return found;
}

function writeSystemFiles(folder: string): void {
  for (
    const [name, mode] of [["tmp", 0o1777], ["etc", 0o755], ["proc", 0o755], ["var/lib", 0o755]] as const
  ) {
    Deno.mkdirSync(`${folder}/${name}`, { recursive: true });
    Deno.chmodSync(`${folder}/${name}`, mode);
  }
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${folder}/etc/${name}`, text);
  write("passwd", `root:x:0:0:root:/:/bin/false\nnonroot:x:${ACCOUNT}:${ACCOUNT}:nonroot:/tmp:/bin/false\n`);
  write("group", `root:x:0:\nnonroot:x:${ACCOUNT}:\n`);
  write("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
}

function* files(folder: string): Generator<string> {
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(folder)) {
    if (isDirectory && !isSymlink) yield* files(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Bytes in `folder`, by its first-level folders. */
export function contentSizes(folder: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const path of files(folder)) {
    const top = path.slice(folder.length + 1).split("/")[0];
    sizes.set(top, (sizes.get(top) ?? 0) + Deno.lstatSync(path).size);
  }
  return sizes;
}

if (import.meta.main) {
  const [entry, folder] = Deno.args;
  if (!folder) {
    console.error("usage: deno task image cmd/gateway.ts|cmd/agent.ts FOLDER");
    Deno.exit(2);
  }
  const absolute = folder.startsWith("/") ? folder : `${Deno.cwd()}/${folder}`;
  try {
    await makeImageRoot(entry, absolute);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`image: ${error.message}`);
    Deno.exit(2);
  }
  const sizes = contentSizes(absolute);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  for (const [name, size] of sizes) console.log(`${(size / 1e6).toFixed(1).padStart(8)} MB  /${name}`);
  console.log(`${(total / 1e6).toFixed(1).padStart(8)} MB`);
}
