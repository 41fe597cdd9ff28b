/** `join`: a machine that has nothing but a join token becomes somebody. */
import { readArguments } from "./arguments.ts";
import { asked, type Command, CommandError, EXIT, requireEnrolment } from "./command.ts";
import { readPublicKey } from "./public_key_input.ts";

const USAGE = "join < key.pub";

export const join: Command = {
  usage: USAGE,
  summary: "enrols the public key that you send under the name of your join token, which is used up",
  async run(context, args) {
    const { identity, description } = context.client;
    readArguments(args, {}, USAGE);
    if (identity.kind !== "join") {
      throw new CommandError(EXIT.refused, "you are somebody already: only a join token joins", "join token");
    }
    const key = await readPublicKey(context, USAGE);
    const { name } = await asked("join token", requireEnrolment(context).enrol(identity, key, description));
    return { out: [name], rule: "join token" };
  },
};
