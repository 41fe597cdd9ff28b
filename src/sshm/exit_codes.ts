/** How `sshm` ends, for scripts. Listed by `--help`. What the agent's command says too has the same number here. */
export const exitCodes = {
  done: { code: 0, meaning: "done; 'policy test': allowed" },
  failed: { code: 1, meaning: "something unexpected went wrong" },
  usage: { code: 2, meaning: "a command, an argument or an SSHM_ variable is wrong" },
  files: {
    code: 3,
    meaning: "a key, a policy or another file is missing, unreadable, wrong or open to others",
  },
  address: { code: 5, meaning: "the address to listen on is taken, not permitted or not this machine's" },
  unknownGateway: { code: 7, meaning: "the gateway's name or its host key is not known" },
  hostKey: { code: 8, meaning: "the gateway showed another host key than the one it is known by" },
  credential: { code: 9, meaning: "the gateway did not accept any of the keys" },
  refused: { code: 10, meaning: "the gateway refused what was asked for; 'policy test': denied" },
  unreachable: { code: 11, meaning: "the gateway does not answer, or the connection to it was lost" },
} as const;

export type ExitReason = keyof typeof exitCodes;

/** Why a command ends without doing what it was asked for, in a sentence for whoever typed it. */
export class SshmError extends Error {
  override readonly name = "SshmError";
  constructor(readonly reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
