/** Folders in the system's place for temporary ones that only this user can enter. */
import type { PrivateFolder } from "../agent/agent_socket.ts";

/** Makes one; its path is short enough for a Unix socket in it. */
export async function makePrivateFolder(): Promise<PrivateFolder> {
  const path = await Deno.makeTempDir({ prefix: "ssh-mesh-" });
  await Deno.chmod(path, 0o700);
  return {
    path,
    remove: () => Deno.remove(path, { recursive: true }).catch(() => {}),
  };
}
