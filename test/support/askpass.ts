/** `sshm` as the program that stock `ssh` asks for the gateway's token. */
import type { Folder } from "./folder.ts";
import { meshEnvironment, meshLine } from "./mesh.ts";

/** What a user would name in `SSH_ASKPASS`. */
export function askpassFile(folder: Folder): string {
  const words = meshLine("sshm", []).map((word) => `'${word}'`).join(" ");
  return folder.write("askpass", `#!/bin/sh\nexec ${words} "$@"\n`, 0o700);
}

/** Environment in which `sshm` answers for the gateway `HOST:PORT`. @param variables where the token comes from */
export function askpassEnvironment(
  folder: Folder,
  gateway: string,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  Deno.mkdirSync(folder.at("run"), { recursive: true, mode: 0o700 });
  return {
    ...meshEnvironment(folder.path),
    XDG_RUNTIME_DIR: folder.at("run"),
    SSHM_GATEWAY: gateway,
    ...variables,
  };
}

/** The same for `ssh`, which asks whatever it wants to know through it. */
export function askingEnvironment(
  folder: Folder,
  gateway: string,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    ...askpassEnvironment(folder, gateway, variables),
    SSH_ASKPASS: askpassFile(folder),
    SSH_ASKPASS_REQUIRE: "force",
  };
}
