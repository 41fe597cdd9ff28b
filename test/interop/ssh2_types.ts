/** The part of npm's ssh2 that the tests use: the package has no types of its own. */
import type { Buffer } from "node:buffer";
import type { Duplex, Readable } from "node:stream";

/** Emits `exit` with the code, or null and a signal's name. */
export type Channel = Duplex & { readonly stderr: Readable };

type Done = (error?: Error) => void;

interface Sftp {
  fastPut(local: string, remote: string, done: Done): void;
  fastGet(remote: string, local: string, done: Done): void;
}

declare class Client {
  connect(options: {
    host: string;
    port: number;
    username: string;
    privateKey: Buffer;
    algorithms?: { serverHostKey?: string[] };
    hostVerifier: (key: Buffer) => boolean;
  }): void;
  on(event: "ready", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "tcp connection", listener: (details: unknown, accept: () => Channel) => void): this;
  exec(command: string, callback: (error: Error | undefined, channel: Channel) => void): void;
  exec(
    command: string,
    options: { pty: { term: string; cols: number; rows: number } },
    callback: (error: Error | undefined, channel: Channel) => void,
  ): void;
  sftp(callback: (error: Error | undefined, sftp: Sftp) => void): void;
  forwardOut(
    fromHost: string,
    fromPort: number,
    host: string,
    port: number,
    callback: (error: Error | undefined, channel: Channel) => void,
  ): void;
  forwardIn(name: string, port: number, callback: Done): void;
  end(): void;
}

declare const ssh2: { Client: typeof Client };
export default ssh2;
