/** Who started this process. */
import type { ParentProcess } from "../sshm/host.ts";

/** Field of /proc/PID/stat with the start time in ticks since boot (proc(5)), counted behind the name in parentheses. */
const START_TIME = 19;

export async function parentProcess(): Promise<ParentProcess> {
  const pid = Deno.ppid;
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // The name may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { pid, started: fields[START_TIME] ?? "" };
}
