/** Who may what at an authority that stands alone. */
import { parsePolicy, type Policy } from "../../identity/policy/mod.ts";
import { ENROLLED_ISSUER } from "../../identity/principal.ts";
import type { Files } from "../../platform/files.ts";
import { loadPolicy } from "../policy_file.ts";

/** Who dials or listens through an authority: nobody. */
const OWNERS = { dial: [], listen: [] };

/** Without a file: a token of an authority is for a gateway to join with, and gateways vouch for others. */
const DEFAULT = `
rules:
  - name: gateways that joined
    who: { issuer: ${ENROLLED_ISSUER} }
    may: [assert]
`;

/** @throws {StartError} `files`, with every mistake and its line */
export async function loadAuthorityPolicy(files: Files, path: string | undefined): Promise<Policy> {
  if (path === undefined) return parsePolicy(DEFAULT, { owners: OWNERS });
  return await loadPolicy(files, path, OWNERS);
}
