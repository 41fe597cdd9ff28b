/** The part of npm's ssh2 that the tests use: the package has no types of its own. */
import type { Buffer } from "node:buffer";
import type { Duplex, Readable } from "node:stream";

/** Emits `exit` with the code, or null and a signal's name. */
type Channel = Duplex & { readonly stderr: Readable };

declare class Client {
  connect(options: {
    host: string;
    port: number;
    username: string;
    privateKey: Buffer;
    hostVerifier: (key: Buffer) => boolean;
  }): void;
  on(event: "ready", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  exec(command: string, callback: (error: Error | undefined, channel: Channel) => void): void;
  end(): void;
}

declare const ssh2: { Client: typeof Client };
export default ssh2;
