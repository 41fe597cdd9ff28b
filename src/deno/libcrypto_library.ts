/**
 * The system's OpenSSL 3 by FFI: finding it, and the functions used.
 *
 * Permission is asked for one absolute path. Under that, Deno gives no pointer objects: addresses are `usize`, seen as
 * bigint, and never anything but handed back to the library. All arguments are of one JavaScript type each, always: V8's
 * fast calls fall back to slow ones otherwise. So `size_t` is a bigint too.
 */

/** File names by preference: a later major version only where the one this was written for is missing. */
const SONAMES = ["libcrypto.so.3", "libcrypto.so.4"];

/** Where distributions put it: Debian's multiarch folders, Alpine, Fedora, built from source, Homebrew on Linux. */
const FOLDERS: Record<string, readonly string[]> = {
  x86_64: ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64"],
  aarch64: ["/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64"],
};
const ANY_FOLDERS = [
  "/usr/lib",
  "/lib",
  "/usr/local/lib64",
  "/usr/local/lib",
  "/home/linuxbrew/.linuxbrew/lib",
];

/** Homebrew's and MacPorts' on macOS; Apple's own libcrypto ends a process that loads it by name. */
const DARWIN_PATHS = [
  "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
  "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib",
  "/opt/local/lib/libcrypto.3.dylib",
];

/** Absolute paths at which the library may be, best first. */
export function libcryptoPaths(os: string = Deno.build.os, arch: string = Deno.build.arch): string[] {
  if (os === "darwin") return DARWIN_PATHS;
  const folders = [...(FOLDERS[arch] ?? []), ...ANY_FOLDERS];
  return SONAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`));
}

const functions = {
  OpenSSL_version_num: { parameters: [], result: "usize" },
  EVP_sha256: { parameters: [], result: "usize" },
  EVP_sha384: { parameters: [], result: "usize" },
  EVP_sha512: { parameters: [], result: "usize" },
  // (data, length, digest, digest length out, type, engine)
  EVP_Digest: { parameters: ["buffer", "usize", "buffer", "usize", "usize", "usize"], result: "i32" },
  // (library context, name, properties)
  EVP_CIPHER_fetch: { parameters: ["usize", "buffer", "usize"], result: "usize" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "usize" },
  EVP_CIPHER_CTX_free: { parameters: ["usize"], result: "void" },
  EVP_CIPHER_CTX_ctrl: { parameters: ["usize", "i32", "i32", "buffer"], result: "i32" },
  // (context, cipher, engine, key, iv, encrypt)
  EVP_CipherInit_ex: { parameters: ["usize", "usize", "usize", "buffer", "buffer", "i32"], result: "i32" },
  // (context, out, in, length): bytes written, or -1. Unlike EVP_CipherUpdate it needs no room for a length.
  EVP_Cipher: { parameters: ["usize", "buffer", "buffer", "u32"], result: "i32" },
  EVP_MAC_fetch: { parameters: ["usize", "buffer", "usize"], result: "usize" },
  EVP_MAC_CTX_new: { parameters: ["usize"], result: "usize" },
  EVP_MAC_CTX_free: { parameters: ["usize"], result: "void" },
  EVP_MAC_init: { parameters: ["usize", "buffer", "usize", "usize"], result: "i32" },
  EVP_MAC_update: { parameters: ["usize", "buffer", "usize"], result: "i32" },
  EVP_MAC_final: { parameters: ["usize", "buffer", "buffer", "usize"], result: "i32" },
  HMAC_CTX_new: { parameters: [], result: "usize" },
  HMAC_CTX_free: { parameters: ["usize"], result: "void" },
  // (context, key, key length, digest, engine); without key and digest it starts over under the same key
  HMAC_Init_ex: { parameters: ["usize", "buffer", "i32", "usize", "usize"], result: "i32" },
  HMAC_Update: { parameters: ["usize", "buffer", "usize"], result: "i32" },
  HMAC_Final: { parameters: ["usize", "buffer", "usize"], result: "i32" },
} as const;

export type Libcrypto = Deno.DynamicLibrary<typeof functions>["symbols"];

/** By path: one per process is enough. */
const loaded = new Map<string, Libcrypto>();

/**
 * Loads the library. It stays loaded for the life of the process, since contexts may be in use until then.
 * @param path absolute
 * @throws when it is not there, lacks a function, or permission is denied
 */
export function loadLibcrypto(path: string): Libcrypto {
  let library = loaded.get(path);
  if (!library) loaded.set(path, library = Deno.dlopen(path, functions).symbols);
  return library;
}

/** `OpenSSL 3.0.19`. */
export function versionOf(library: Libcrypto): string {
  // 0xMNN00PP0: OPENSSL_VERSION_NUMBER since 3.0
  const number = Number(library.OpenSSL_version_num());
  return `OpenSSL ${number >>> 28}.${number >>> 20 & 0xff}.${number >>> 4 & 0xff}`;
}

/** NULL, and 0 where a `size_t` is meant. */
export const NULL = 0n;

/** Something that the library allocated, to be given back exactly once. */
export class Allocation {
  #pointer: bigint;
  readonly #release: (pointer: bigint) => void;

  /** @throws {Error} when `pointer` is NULL: the library is out of memory, or has no such algorithm */
  constructor(pointer: bigint, release: (pointer: bigint) => void) {
    if (pointer === NULL) throw new Error("libcrypto could not allocate");
    this.#pointer = pointer;
    this.#release = release;
    forgotten.register(this, { pointer, release }, this);
  }

  /** For the next call only. @throws {TypeError} after {@link free} */
  get pointer(): bigint {
    if (this.#pointer === NULL) throw new TypeError("used after free");
    return this.#pointer;
  }

  /** @throws {TypeError} the second time */
  free(): void {
    const pointer = this.pointer;
    this.#pointer = NULL;
    forgotten.unregister(this);
    this.#release(pointer);
  }
}

/** Gives back what its owner dropped without `free`: a bug there, but not a leak of keys for ever. */
const forgotten = new FinalizationRegistry<{ pointer: bigint; release: (pointer: bigint) => void }>(
  ({ pointer, release }) => release(pointer),
);
