/**
 * The other SSH programs that the interop tests run, and where they are.
 *
 * The system's own are in `PATH`. The newest OpenSSH, Dropbear and PuTTY live in a Debian tree in the cache folder
 * (`peers.sh` makes it) and run by `chroot`. Python's are in a virtual environment in the cache folder. `setup.ts`
 * installs whatever is missing and can be.
 */

/** Debian suite that the newest peers come from. */
export const NEWEST_SUITE = "forky";

/** Where downloaded peers are kept. */
export const cacheFolder = `${
  Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`
}/ssh-mesh`;

/** Folder with Python's peers. */
export const pythonFolder = `${cacheFolder}/python`;

/** The tree that holds the newest peers. */
export const newestTree: { readonly root: string; readonly missing?: string } = {
  root: `${cacheFolder}/${NEWEST_SUITE}`,
  missing: whyNoTree(`${cacheFolder}/${NEWEST_SUITE}`),
};

function whyNoTree(root: string): string | undefined {
  if (Deno.uid() !== 0) return "chroot needs root";
  if (!exists(`${root}/usr/bin/ssh`)) {
    return `no ${NEWEST_SUITE} tree in the cache: run the test task as root`;
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

/** Absolute path of a program, or undefined. Servers live in `sbin`, which an ordinary user's PATH may lack. */
export function findProgram(name: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":").concat("/usr/sbin", "/usr/local/sbin");
  return folders.filter(Boolean).map((folder) => `${folder}/${name}`).find(exists);
}

/** A family of programs from one source. */
export interface Peer {
  /** For test names: `OpenSSH`, `newest OpenSSH`. */
  readonly name: string;
  /** Why it cannot be used here; undefined when it can. */
  readonly missing?: string;
  /** Whether it is one of the newest, in the tree. */
  readonly newest: boolean;
  /** The command line that runs `program` with `args`. Paths in them must lie in a `sharedFolder()`. */
  line(program: string, ...args: string[]): string[];
}

function systemPeer(name: string, programs: readonly string[]): Peer {
  const absent = programs.filter((program) => !findProgram(program));
  return {
    name,
    newest: false,
    missing: absent.length > 0 ? `no ${absent.join(", ")} on this system` : undefined,
    line: (program, ...args) => [findProgram(program) ?? program, ...args],
  };
}

function newestPeer(name: string): Peer {
  return {
    name: `newest ${name}`,
    newest: true,
    missing: newestTree.missing,
    line: (program, ...args) => [findProgram("chroot") ?? "chroot", newestTree.root, program, ...args],
  };
}

const python = `${pythonFolder}/bin/python3`;

export const openssh = systemPeer("OpenSSH", ["ssh", "sshd", "ssh-keygen", "scp", "sftp"]);
export const opensshNewest = newestPeer("OpenSSH");
export const dropbear = systemPeer("Dropbear", ["dropbear", "dbclient", "dropbearconvert"]);
export const dropbearNewest = newestPeer("Dropbear");
export const putty = systemPeer("PuTTY", ["plink", "psftp", "puttygen"]);
export const puttyNewest = newestPeer("PuTTY");
/** Runs as `paramiko.line("python3", SCRIPT, …)`. */
export const paramiko: Peer = {
  name: "paramiko",
  newest: false,
  missing: exists(`${pythonFolder}/ready`) ? undefined : "no paramiko in the cache: run the test task",
  line: (_program, ...args) => [python, ...args],
};
/** Runs as `sshAudit.line("ssh-audit", …)`. */
export const sshAudit: Peer = {
  ...paramiko,
  name: "ssh-audit",
  line: (program, ...args) => [`${pythonFolder}/bin/${program}`, ...args],
};
export const node = systemPeer("Node", ["node"]);
export const iperf = systemPeer("iperf3", ["iperf3"]);
export const curl = systemPeer("curl", ["curl"]);
export const openssl = systemPeer("OpenSSL", ["openssl"]);

/** Every peer, for the set-up's list. */
export const allPeers: readonly Peer[] = [
  openssh,
  opensshNewest,
  dropbear,
  dropbearNewest,
  putty,
  puttyNewest,
  paramiko,
  sshAudit,
  node,
  iperf,
  curl,
  openssl,
];

/**
 * Registers a test that needs `needed`. Where one is missing the test is skipped and its name says why; under `CI=true` a
 * missing peer is a failure.
 */
export function peerTest(
  name: string,
  needed: readonly Peer[],
  body: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const { missing, skip } = readiness(needed);
  if (missing === undefined) Deno.test(name, body);
  else if (!skip) Deno.test(name, () => failFor(missing));
  else Deno.test({ name: `${name} [skipped: ${missing}]`, ignore: skip, fn: body });
}

/** As {@link peerTest}, for a step of a test whose scene several peers share. */
export async function peerStep(
  t: Deno.TestContext,
  name: string,
  needed: readonly Peer[],
  body: () => void | Promise<void>,
): Promise<void> {
  const { missing, skip } = readiness(needed);
  if (missing === undefined) await t.step(name, body);
  else if (!skip) await t.step(name, () => failFor(missing));
  else await t.step({ name: `${name} [skipped: ${missing}]`, ignore: skip, fn: body });
}

function readiness(needed: readonly Peer[]): { missing?: string; skip: boolean } {
  const absent = needed.filter((peer) => peer.missing !== undefined);
  const skip = Deno.env.get("CI") !== "true";
  if (absent.length === 0) return { skip };
  return { missing: absent.map((peer) => `${peer.name}: ${peer.missing}`).join("; "), skip };
}

function failFor(missing: string): never {
  throw new Error(`a peer is missing, and CI skips nothing: ${missing}`);
}
