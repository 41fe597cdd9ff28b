/** Certificates that only OpenSSL makes: any extension, any mistake. */
import { type Folder, temporaryFolder } from "./folder.ts";
import { openssl } from "./peers.ts";
import { type Finished, succeed } from "./process.ts";

export interface CertificateSpec {
  /** Files are called so. */
  readonly name: string;
  /** Absent: self-signed. */
  readonly issuer?: string;
  /** Default `/CN=NAME`. */
  readonly subject?: string;
  /** Lines of an extension section of openssl.cnf. */
  readonly extensions: readonly string[];
  /** From now on, default 10. Negative: it has expired. */
  readonly days?: number;
  /** For `openssl genpkey`: default P-256. */
  readonly key?: readonly string[];
  /** Default `-sha256`. */
  readonly digest?: string;
}

/** An authority as OpenSSL keeps it, in a folder. */
export class OpensslFolder implements Disposable {
  readonly folder: Folder = temporaryFolder();

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }

  run(...args: string[]): Promise<Finished> {
    return succeed(openssl.line("openssl", ...args), { cwd: this.folder.path });
  }

  /** Makes `NAME.key` and `NAME.pem`. */
  async make(spec: CertificateSpec): Promise<void> {
    const { name, issuer, subject = `/CN=${name}`, extensions, days = 10, key, digest = "-sha256" } = spec;
    await this.key(name, key);
    this.folder.write(`${name}.ext`, `[x]\n${extensions.join("\n")}\n`);
    const request = ["req", "-new", "-key", `${name}.key`, "-subj", subject, "-out", `${name}.csr`];
    await this.run(...request);
    const signer = issuer ? ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`] : ["-signkey", `${name}.key`];
    const how = ["-days", `${days}`, digest, "-extfile", `${name}.ext`, "-extensions", "x"];
    await this.run("x509", "-req", "-in", `${name}.csr`, ...signer, ...how, "-out", `${name}.pem`);
  }

  async key(name: string, kind: readonly string[] = ["EC", "ec_paramgen_curve:P-256"]): Promise<void> {
    const [algorithm, ...options] = kind;
    const pairs = options.flatMap((option) => ["-pkeyopt", option]);
    await this.run("genpkey", "-quiet", "-algorithm", algorithm, ...pairs, "-out", `${name}.key`);
  }

  /** Makes a PKCS #10 request, DER. */
  async request(options: {
    readonly key?: readonly string[];
    readonly names?: string;
    readonly digest?: string;
    readonly subject?: string;
  }): Promise<Uint8Array<ArrayBuffer>> {
    const { key, names, digest = "-sha256", subject = "/CN=anything" } = options;
    await this.key("request", key);
    const extension = names ? ["-addext", `subjectAltName=${names}`] : [];
    const form = ["-outform", "DER", "-out", "request.der"];
    await this.run("req", "-new", "-key", "request.key", "-subj", subject, digest, ...extension, ...form);
    return Deno.readFileSync(this.folder.at("request.der"));
  }

  pem(name: string): string {
    return this.folder.read(`${name}.pem`);
  }

  der(name: string): Uint8Array<ArrayBuffer> {
    return derOf(this.pem(name));
  }
}

/** The bytes of a PEM text with one block. */
export function derOf(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(pem.replaceAll(/-----[^-]*-----|\s/g, ""));
}

/** Bytes up to the end of what the signature covers: the first element of a certificate or request. */
export function signedLength(der: Uint8Array): number {
  const head = (at: number) => der[at + 1] < 0x80 ? 2 : 2 + (der[at + 1] & 0x7f);
  const outer = head(0);
  const inner = head(outer);
  const length = der.subarray(outer + 2, outer + inner).reduce((sum, octet) => sum * 256 + octet, 0);
  return outer + inner + (length || der[outer + 1]);
}
