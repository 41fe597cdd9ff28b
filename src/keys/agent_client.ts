/** The client side of the ssh-agent protocol (draft-ietf-sshm-ssh-agent): keys that somebody else holds. */
import type { Bytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { type Duplex, plain, type PlainDuplex } from "../streams/duplex.ts";
import { plainType } from "./key_types.ts";
import { decodePublicKey, readPublicKey } from "./public_key.ts";
import { KeyError, type PublicKey, type Signer } from "./types.ts";

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;

/** Which hash an RSA key signs with; other keys have no choice. */
const signFlags: Readonly<Record<string, number>> = { "rsa-sha2-256": 2, "rsa-sha2-512": 4 };

/** OpenSSH's agent never sends more. */
const MAXIMUM_MESSAGE = 256 * 1024;

/** The agent refused, or speaks something else. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  constructor(readonly code: "refused" | "protocol" | "closed", message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A key in the agent. `sign` rejects with {@link AgentError} when the agent refuses, as after a declined prompt. */
export interface AgentIdentity extends Signer {
  readonly comment: string;
}

/** Talks to one agent over `duplex`, which belongs to it from then on. */
export class AgentClient {
  readonly #connection: PlainDuplex;
  /** Requests are answered in order: each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param duplex a connection to the agent's socket, or a channel to a forwarded one */
  constructor(duplex: Duplex) {
    this.#connection = plain(duplex);
  }

  /**
   * All keys and certificates that the agent offers, in its order; types that this library does not know are left out.
   * A key that is also there with a certificate comes once, with the certificate.
   */
  async identities(): Promise<AgentIdentity[]> {
    const request = new Writer().byte(REQUEST_IDENTITIES).finish();
    const identities = await this.#request(request, IDENTITIES_ANSWER, (answer) => {
      const found: AgentIdentity[] = [];
      for (let left = answer.uint32(); left > 0; left--) {
        const identity = this.#identity(answer.string().slice(), answer.text());
        if (identity) found.push(identity);
      }
      return found;
    });
    const id = ({ publicKey }: Signer) => encodeHex(publicKey.blob);
    const certified = new Set(identities.filter(({ certificate }) => certificate).map(id));
    return identities.filter((identity) => identity.certificate || !certified.has(id(identity)));
  }

  /** Ends the connection. Pending requests reject. */
  close(): void {
    this.#connection.close(new AgentError("closed", "the connection to the agent was closed"));
  }

  #identity(blob: Bytes, comment: string): AgentIdentity | undefined {
    const parsed = parseIdentity(blob);
    if (!parsed) return undefined;
    return {
      ...parsed,
      comment,
      sign: (algorithm, data) => this.#sign(parsed.publicKey, blob, algorithm, data),
    };
  }

  async #sign(key: PublicKey, blob: Bytes, algorithm: string, data: Bytes): Promise<Bytes> {
    if (!key.signatureAlgorithms.includes(algorithm)) {
      throw new TypeError(`a ${key.type} key does not sign with ${algorithm}`);
    }
    const request = new Writer(blob.length + data.length + 16).byte(SIGN_REQUEST)
      .string(blob).string(data).uint32(signFlags[algorithm] ?? 0).finish();
    return await this.#request(request, SIGN_RESPONSE, (answer) => {
      const signature = answer.string().slice();
      // Old agents sign with SHA-1 whatever the flags say.
      const used = new Reader(signature).text();
      if (used !== algorithm) throw new AgentError("protocol", `the agent does not sign with ${algorithm}`);
      return signature;
    });
  }

  #request<T>(message: Bytes, expected: number, read: (answer: Reader) => T): Promise<T> {
    const answer = this.#last.then(async () => {
      const reader = await this.#exchange(message, expected);
      try {
        const result = read(reader);
        reader.end();
        return result;
      } catch (cause) {
        if (!(cause instanceof MalformedError)) throw cause;
        throw new AgentError("protocol", `malformed answer of the agent: ${cause.message}`, { cause });
      }
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #exchange(message: Bytes, expected: number): Promise<Reader> {
    await this.#connection.write(new Writer(message.length + 4).string(message).finish());
    const length = new Reader(await this.#read(4)).uint32();
    if (length < 1 || length > MAXIMUM_MESSAGE) {
      const error = new AgentError("protocol", `the agent's message has ${length} bytes`);
      this.#connection.close(error);
      throw error;
    }
    const reader = new Reader(await this.#read(length));
    // SSH_AGENT_FAILURE (5), SSH2_AGENT_FAILURE (30), or something that was not asked for.
    if (reader.byte() !== expected) throw new AgentError("refused", "the agent refused");
    return reader;
  }

  async #read(length: number): Promise<Bytes> {
    const bytes = new Uint8Array(length);
    let have = 0;
    while (have < length) {
      const count = await this.#connection.read(bytes.subarray(have));
      if (count === null) throw new AgentError("closed", "the agent ended the connection");
      have += count;
    }
    return bytes;
  }
}

function parseIdentity(blob: Bytes): { publicKey: PublicKey; certificate?: Bytes } | undefined {
  try {
    const reader = new Reader(blob);
    const certified = plainType(reader.text());
    if (!certified) return { publicKey: decodePublicKey(blob) };
    reader.string(); // nonce
    return { publicKey: readPublicKey(certified, reader, blob), certificate: blob };
  } catch (error) {
    if (error instanceof KeyError || error instanceof MalformedError) return undefined;
    throw error;
  }
}
