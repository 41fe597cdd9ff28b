/** What a certificate says, for people and for programs. Pure. */
import { FOREVER, parseCertificate } from "../cert/certificate.ts";
import { sourceAddress } from "../cert/options.ts";
import type { Certificate } from "../cert/types.ts";
import { decodeText } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import { KeyError } from "../keys/types.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";

/** Reads the line of an `id-cert.pub` file. @throws {KeyError} */
export function readCertificateLine(line: string): Certificate {
  const { certificate } = parsePublicKeyLine(line);
  if (!certificate) throw new KeyError("malformed", "a plain public key, where a certificate is expected");
  return parseCertificate(certificate);
}

/** Names in snake_case as everywhere in the product's JSON. Nothing of it was verified. */
export async function certificateFacts(certificate: Certificate, now: number) {
  const command = certificate.criticalOptions.get("force-command");
  return {
    type: certificate.role,
    key: await certificate.publicKey.fingerprint(),
    authority: await certificate.signatureKey.fingerprint(),
    key_id: certificate.keyId,
    serial: certificate.serial.toString(),
    principals: certificate.principals,
    valid_after: time(certificate.validAfter),
    valid_before: time(certificate.validBefore),
    valid: isValid(certificate, now),
    source_address: sourceAddress(certificate),
    force_command: command && decodeText(command),
    extensions: [...certificate.extensions.keys()],
  };
}

/** Whether it is good for `lasting` milliseconds from `now` on, by its times. */
export function isValid({ validAfter, validBefore }: Certificate, now: number, lasting = 0): boolean {
  const seconds = (ms: number) => BigInt(Math.floor(ms / 1000));
  return validAfter <= seconds(now) && seconds(now + lasting) < validBefore;
}

/** One line for each fact that there is. */
export function factLines(facts: Awaited<ReturnType<typeof certificateFacts>>): string[] {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const text = Array.isArray(value) ? value.join(" ") : String(value);
      return `${name.padEnd(15)} ${printable(text, 2000)}`;
    });
}

/** A time of a certificate, in ISO 8601; undefined for the one that is never. */
function time(seconds: bigint): string | undefined {
  // Beyond what a date can say it is never, too.
  if (seconds === FOREVER || seconds > 8_640_000_000_000n) return undefined;
  return new Date(Number(seconds) * 1000).toISOString();
}
