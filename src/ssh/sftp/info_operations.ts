/** Requests about the server and its accounts. */
import { Writer } from "../../bytes/writer.ts";
import { FilesError } from "../../platform/files.ts";
import type { Operation, Operations } from "./operation.ts";
import { MAX_DATA, MAX_PACKET } from "./protocol.ts";
import { extendedReply, nameReply, unpackIds } from "./reply.ts";

/** Looks at nothing that a request changes. */
function asks<R>(run: Operation<R>["run"], replySize: (request: R) => number = () => 256): Operation<R> {
  return { accesses: () => [], mutates: () => false, replySize, run };
}

/** Ids in one users-groups-by-id request: what makes names that fit a reply, 64 bytes each. */
const MAX_IDS = 2048;

function packNames(names: readonly (string | undefined)[]): Writer {
  const writer = new Writer();
  for (const name of names) writer.string(name ?? "");
  return writer;
}

/** limits, home-directory and users-groups-by-id. */
export const infoOperations: Operations<"limits" | "homeDirectory" | "namesById"> = {
  limits: asks((context, _, id) =>
    Promise.resolve(extendedReply(id, (writer) => {
      for (const limit of [MAX_PACKET, MAX_DATA, MAX_DATA, context.maxHandles]) writer.uint64(BigInt(limit));
    }))
  ),
  homeDirectory: asks(async ({ accounts, home }, { user }, id) => {
    const folder = user === "" ? home : await accounts.home(user);
    if (folder === undefined) throw new FilesError("not-found", `no home of ${user}`);
    return nameReply(id, [{ name: folder, longName: folder, attributes: {} }]);
  }),
  namesById: asks(async ({ accounts }, request, id) => {
    const [userIds, groupIds] = [unpackIds(request.users), unpackIds(request.groups)];
    if (userIds.length + groupIds.length > MAX_IDS) {
      throw new FilesError("invalid", `more than ${MAX_IDS} ids`);
    }
    const [users, groups] = await Promise.all([accounts.users(userIds), accounts.groups(groupIds)]);
    return extendedReply(id, (writer) => {
      writer.string(packNames(users).finish()).string(packNames(groups).finish());
    });
  }, ({ users, groups }) => 16 * (users.length + groups.length)),
};
