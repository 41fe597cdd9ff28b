/** The library's client over TCP, for tests against other people's servers. */
import { equal } from "../../src/bytes/bytes.ts";
import { decodeBase64 } from "../../src/bytes/encoding.ts";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import type { Signer } from "../../src/keys/types.ts";
import { type AlgorithmLists, supportedAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { type ClientConnection, connectSsh } from "../../src/ssh/client.ts";
import type { ProvenHostKey } from "../../src/ssh/transport/host_key.ts";
import type { PipeReader } from "../../src/platform/process.ts";
import type { KeyFile } from "./keygen.ts";

/** Loaded outside any test: see library_server.ts. */
const systemCrypto = (await chooseCrypto()).provider;

/** Connects to 127.0.0.1:`port`; the server must have `hostKey`, or a certificate of `authority`. */
export async function connectLibrary(
  { port, user, hostKey, authority, signer, algorithms, rekeyBytes }: {
    port: number;
    user: string;
    hostKey?: KeyFile;
    authority?: KeyFile;
    signer: Signer;
    algorithms?: Partial<AlgorithmLists>;
    rekeyBytes?: number;
  },
): Promise<ClientConnection> {
  const is = (file: KeyFile | undefined, blob?: Uint8Array) =>
    file !== undefined && blob !== undefined && equal(decodeBase64(file.bare.split(" ")[1]), blob);
  const believed = ({ key, certificate }: ProvenHostKey) =>
    is(hostKey, key.blob) || is(authority, certificate?.signatureKey.blob);
  return await connectSsh(await denoNet.dial({ transport: "tcp", hostname: "127.0.0.1", port }), {
    crypto: systemCrypto,
    algorithms: { ...supportedAlgorithms, ...algorithms },
    rekey: rekeyBytes === undefined ? undefined : { bytes: rekeyBytes },
    verifyHostKey: (shown) => believed(shown) || "another host key than the test's",
    auth: { user, credentials: [{ method: "publickey", signers: [signer] }] },
  });
}

/** All that comes out of `reader`. */
export async function readAll(reader: Pick<PipeReader, "read">): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const buffer = new Uint8Array(64 * 1024);
  for (let count; (count = await reader.read(buffer)) !== null;) chunks.push(buffer.slice(0, count));
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
