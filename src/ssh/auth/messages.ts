/**
 * The messages of authentication, each as number, section and fields.
 *
 * The fields of USERAUTH_REQUEST that depend on the method are structs of their own: {@link PublicKeyFields} and its
 * like. Byte arrays in decoded messages are views of the payload.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import {
  boolean,
  counted,
  type Field,
  type Fields,
  nameList,
  rest,
  string,
  struct,
  text,
  utf8,
  type Values,
} from "../../bytes/struct.ts";
import { Writer } from "../../bytes/writer.ts";
import { SshError } from "../error.ts";
import { Msg } from "../wire/numbers.ts";
import type { Prompt } from "./types.ts";

const prompt: Field<Prompt> = struct({ text, echo: boolean });

/** One message, or the method's part of one. */
export interface Message<T> {
  /** For errors: `USERAUTH_REQUEST (RFC 4252 §5)`. */
  readonly label: string;
  /** Its first byte; undefined for a part of a message. */
  readonly number: number | undefined;
  encode(values: T): Bytes;
  /** @throws {SshError} `protocol`, when `payload` is not exactly this message */
  decode(payload: Bytes): T;
}

function message<F extends Fields>(
  number: number | undefined,
  name: string,
  section: string,
  fields: F,
): Message<Values<F>> {
  const label = `${name} (${section})`;
  const body = struct(fields);
  return {
    label,
    number,
    encode(values) {
      const writer = new Writer();
      if (number !== undefined) writer.byte(number);
      body.write(writer, values);
      return writer.finish();
    },
    decode(payload) {
      try {
        const reader = new Reader(payload);
        if (number !== undefined && reader.byte() !== number) throw new MalformedError("another message");
        const values = body.read(reader);
        reader.end();
        return values;
      } catch (cause) {
        if (!(cause instanceof MalformedError)) throw cause;
        throw new SshError("protocol", `malformed ${label}: ${cause.message}`, { cause });
      }
    },
  };
}

export const ServiceRequest = message(Msg.SERVICE_REQUEST, "SERVICE_REQUEST", "RFC 4253 §10", {
  service: text,
});
export const ServiceAccept = message(Msg.SERVICE_ACCEPT, "SERVICE_ACCEPT", "RFC 4253 §10", { service: text });

export const UserauthRequest = message(Msg.USERAUTH_REQUEST, "USERAUTH_REQUEST", "RFC 4252 §5", {
  user: utf8,
  service: text,
  method: text,
  /** What the method says: one of the `…Fields` below. */
  fields: rest,
});

export const UserauthFailure = message(Msg.USERAUTH_FAILURE, "USERAUTH_FAILURE", "RFC 4252 §5.1", {
  methods: nameList,
  partial: boolean,
});

export const UserauthSuccess = message(Msg.USERAUTH_SUCCESS, "USERAUTH_SUCCESS", "RFC 4252 §5.1", {});

export const UserauthBanner = message(Msg.USERAUTH_BANNER, "USERAUTH_BANNER", "RFC 4252 §5.4", {
  text,
  language: text,
});

/** `none` has no fields. */
export const NoneFields = message(undefined, "none request", "RFC 4252 §5.2", {});

/** A question: would this key do? Begins with FALSE. */
export const PublicKeyQueryFields = message(undefined, "publickey query", "RFC 4252 §7", {
  signed: boolean,
  algorithm: text,
  blob: string,
});
/** A proof. Begins with TRUE. */
export const PublicKeyFields = message(undefined, "publickey request", "RFC 4252 §7", {
  signed: boolean,
  algorithm: text,
  blob: string,
  signature: string,
});
export const HostboundQueryFields = message(undefined, "hostbound query", "OpenSSH PROTOCOL §3.1", {
  signed: boolean,
  algorithm: text,
  blob: string,
  hostKey: string,
});
export const HostboundFields = message(undefined, "hostbound request", "OpenSSH PROTOCOL §3.1", {
  signed: boolean,
  algorithm: text,
  blob: string,
  hostKey: string,
  signature: string,
});

/** Begins with FALSE. */
export const PasswordFields = message(undefined, "password request", "RFC 4252 §8", {
  change: boolean,
  password: utf8,
});
/** Begins with TRUE. */
export const PasswordChangeFields = message(undefined, "password change", "RFC 4252 §8", {
  change: boolean,
  password: utf8,
  newPassword: utf8,
});

export const KeyboardInteractiveFields = message(undefined, "keyboard-interactive request", "RFC 4256 §3.1", {
  language: text,
  submethods: text,
});

export const UserauthPkOk = message(Msg.USERAUTH_PK_OK, "USERAUTH_PK_OK", "RFC 4252 §7", {
  algorithm: text,
  blob: string,
});

export const PasswordChangeRequest = message(
  Msg.USERAUTH_PASSWD_CHANGEREQ,
  "USERAUTH_PASSWD_CHANGEREQ",
  "RFC 4252 §8",
  { prompt: text, language: text },
);

export const InfoRequest = message(Msg.USERAUTH_INFO_REQUEST, "USERAUTH_INFO_REQUEST", "RFC 4256 §3.2", {
  name: text,
  instruction: text,
  language: text,
  prompts: counted(prompt),
});

export const InfoResponse = message(Msg.USERAUTH_INFO_RESPONSE, "USERAUTH_INFO_RESPONSE", "RFC 4256 §3.4", {
  answers: counted(utf8),
});

/** Whether the fields of a `publickey` or `password` request begin with TRUE. Absent counts as FALSE. */
export function startsWithTrue(fields: Bytes): boolean {
  return fields.length > 0 && fields[0] !== 0;
}

/** What a `publickey` signature covers. */
export interface SignedRequest {
  readonly sessionId: Bytes;
  readonly user: string;
  readonly service: string;
  readonly algorithm: string;
  readonly blob: Bytes;
  /** Present: the request is `publickey-hostbound-v00@openssh.com`. */
  readonly hostKey?: Bytes;
}

/** The bytes to sign: the session, then the request without its signature (RFC 4252 §7, OpenSSH PROTOCOL §3.1). */
export function signedData(request: SignedRequest): Bytes {
  const writer = new Writer()
    .string(request.sessionId)
    .byte(Msg.USERAUTH_REQUEST)
    .string(request.user)
    .string(request.service)
    .string(request.hostKey ? "publickey-hostbound-v00@openssh.com" : "publickey")
    .boolean(true)
    .string(request.algorithm)
    .string(request.blob);
  if (request.hostKey) writer.string(request.hostKey);
  return writer.finish();
}
