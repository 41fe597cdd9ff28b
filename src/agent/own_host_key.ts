/** The host key of the built-in server, kept in the state folder. */
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { formatPrivateKey, generatePrivateKey, parsePrivateKey } from "../keys/private_key.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { withCertificate } from "../cert/certificate.ts";
import type { Signer } from "../keys/types.ts";
import type { StateFolder } from "../platform/state.ts";
import { readingFrom } from "./text_file.ts";

const HOST_KEY = "agent_host_ed25519_key";

/** The key, made when it is first needed, with the certificate beside it. @throws {AgentError | StateError} */
export async function ownHostKey(state: StateFolder): Promise<Signer> {
  const saved = await state.read(HOST_KEY);
  const path = `${state.path}/${HOST_KEY}`;
  if (!saved) {
    const key = await generatePrivateKey("ssh-ed25519", { comment: "ssh-mesh agent's host key" });
    await state.write(HOST_KEY, encodeText(formatPrivateKey(key)));
    return key;
  }
  const key = await readingFrom(path, () => parsePrivateKey(decodeText(saved)));
  const line = await state.read(`${HOST_KEY}-cert.pub`);
  if (!line) return key;
  return await readingFrom(`${path}-cert.pub`, () => {
    const { certificate } = parsePublicKeyLine(decodeText(line));
    return certificate ? withCertificate(key, certificate) : key;
  });
}
