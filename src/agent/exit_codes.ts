/** How the agent ends, for scripts and service managers. Listed by `--help`. With a child, its status wins. */
export const exitCodes = {
  ended: { code: 0, meaning: "ended as asked: after SIGTERM or SIGINT, or --check found nothing wrong" },
  failed: { code: 1, meaning: "something unexpected went wrong" },
  usage: { code: 2, meaning: "a flag or an SSHM_ variable is wrong" },
  files: {
    code: 3,
    meaning: "a key or another file it was told to use is missing, unreadable, wrong or open to others",
  },
  state: { code: 4, meaning: "the state folder is open to others, in use or not writable" },
  address: { code: 5, meaning: "an address to listen on is taken, not permitted or not this machine's" },
  cut: { code: 6, meaning: "ended at once by a second SIGTERM or SIGINT: connections were cut" },
  unknownGateway: { code: 7, meaning: "no gateway is known by that name, or its host key is not known" },
  hostKey: { code: 8, meaning: "a gateway showed another host key than the one it is known by" },
  credential: { code: 9, meaning: "a gateway did not accept the credential" },
  refusedName: { code: 10, meaning: "a gateway refused to register a name or a port" },
  child: { code: 127, meaning: "the command after -- could not be started" },
} as const;

export type ExitReason = keyof typeof exitCodes;

/** Why the agent ends, in one sentence for the person who started it. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  constructor(readonly reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
