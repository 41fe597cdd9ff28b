/**
 * Issues an OpenSSH user certificate for an hour, as `ssh-keygen -s CA -I ID -n PRINCIPALS KEY.pub` does.
 *
 *   deno run -A examples/certificate.ts CA_KEYFILE KEY.pub PRINCIPAL... > KEY-cert.pub
 */
import { certificateType, parsePrivateKey, parsePublicKeyLine, signCertificate } from "../mod.ts";
import { encodeBase64 } from "../src/bytes/encoding.ts";

const [authorityFile, publicFile, ...principals] = Deno.args;
const authority = await parsePrivateKey(await Deno.readTextFile(authorityFile));
const { key, comment } = parsePublicKeyLine(await Deno.readTextFile(publicFile));

const now = BigInt(Math.floor(Date.now() / 1000));
const blob = await signCertificate({
  role: "user",
  publicKey: key,
  serial: crypto.getRandomValues(new BigUint64Array(1))[0],
  keyId: `${principals[0]} by example`,
  principals,
  validAfter: now - 60n, // clocks differ
  validBefore: now + 3600n,
  criticalOptions: new Map([["source-address", "127.0.0.1/32,::1/128"]]),
  extensions: new Map([["permit-pty", ""], ["permit-port-forwarding", ""]]),
}, authority);

console.log(`${certificateType(key.type)} ${encodeBase64(blob)} ${comment}`);
