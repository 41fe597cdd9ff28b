/**
 * Installs the peers of the interop tests that are not there yet. As root it asks apt (once) and pip; otherwise it says
 * what is missing and the tests that need it are skipped. With everything there it takes well under a second.
 */
import { cacheFolder, findProgram, NEWEST_SUITE, newestTree, pythonFolder } from "./support/peers.ts";

/** Programs by the Debian package that has them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "openssh-client": ["ssh", "ssh-keygen", "scp", "sftp"],
  "openssh-server": ["sshd"],
  "dropbear-bin": ["dropbear", "dbclient", "dropbearconvert"],
  "putty-tools": ["plink", "psftp", "puttygen"],
  "debootstrap": ["debootstrap"],
  "iperf3": ["iperf3"],
  "curl": ["curl"],
  "openssl": ["openssl"],
  "nodejs": ["node"],
  "python3": ["python3"],
};

/** Python's peers, pinned so that a run today and next year meet the same ones. */
const PYTHON_PACKAGES = ["paramiko==5.1.0", "ssh-audit==3.9.0"];

const root = Deno.uid() === 0;
const problems: string[] = [];

function step(what: string, file: string, ...args: string[]): boolean {
  console.log(`setup: ${what}`);
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const { success } = new Deno.Command(file, {
      args,
      env,
      stdout: "null",
      stderr: "inherit",
      stdin: "null",
    })
      .outputSync();
    if (!success) problems.push(`${what}: ${file} failed`);
    return success;
  } catch (error) {
    problems.push(`${what}: ${(error as Error).message}`);
    return false;
  }
}

function systemPackages(): void {
  const wanted = Object.entries(PACKAGES)
    .filter(([, programs]) => programs.some((program) => !findProgram(program)))
    .map(([name]) => name);
  if (wanted.length === 0) return;
  if (!root || !findProgram("apt-get")) {
    problems.push(`missing: ${wanted.join(", ")} (${root ? "no apt-get here" : "only root can install"})`);
    return;
  }
  // Installing a server must not start it.
  const policy = "/usr/sbin/policy-rc.d";
  const quiet = !exists(policy);
  if (quiet) Deno.writeTextFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    step("package lists", "apt-get", "update", "-qq") &&
      step(wanted.join(", "), "apt-get", "install", "-y", "-qq", "--no-install-recommends", ...wanted);
  } finally {
    if (quiet) Deno.removeSync(policy);
  }
}

function newestPeers(): void {
  if (exists(`${newestTree.root}/usr/bin/plink`)) return;
  if (!root || !findProgram("debootstrap")) {
    problems.push(`no newest peers: ${root ? "debootstrap is missing" : "only root can unpack and chroot"}`);
    return;
  }
  const script = new URL("support/peers.sh", import.meta.url).pathname;
  step(`newest OpenSSH, Dropbear and PuTTY (${NEWEST_SUITE})`, script, NEWEST_SUITE, newestTree.root);
}

function pythonPeers(): void {
  const ready = `${pythonFolder}/ready`;
  const wanted = PYTHON_PACKAGES.join(" ");
  if (exists(ready) && Deno.readTextFileSync(ready) === wanted) return;
  Deno.mkdirSync(cacheFolder, { recursive: true });
  // Debian packs venv's pip apart; where it is absent `venv` fails after making half a folder.
  const made = makeVenv() ||
    (root && step("python3-venv", "apt-get", "install", "-y", "-qq", "python3-venv") && makeVenv());
  if (!made) return void problems.push("paramiko, ssh-audit: python3 -m venv does not work");
  const pip = `${pythonFolder}/bin/pip`;
  if (step(wanted, pip, "install", "-q", "--disable-pip-version-check", ...PYTHON_PACKAGES)) {
    Deno.writeTextFileSync(ready, wanted);
  }
}

function makeVenv(): boolean {
  const args = ["-m", "venv", "--clear", pythonFolder];
  try {
    return new Deno.Command("python3", { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
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

systemPackages();
newestPeers();
pythonPeers();
for (const problem of problems) console.log(`setup: ${problem}`);
if (problems.length > 0 && Deno.env.get("CI") === "true") Deno.exit(1);
