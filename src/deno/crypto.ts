/** Chooses the crypto provider. */
import type { CryptoProvider } from "../platform/crypto.ts";
import { openLibcrypto } from "./crypto_libcrypto.ts";
import { selfTest } from "./crypto_self_test.ts";
import { libcryptoPaths } from "./libcrypto_library.ts";

export interface CryptoOptions {
  /** Absolute path of libcrypto; false never uses one. Default: where distributions put it. */
  readonly libcrypto?: string | false;
}

export interface CryptoChoice {
  readonly provider: CryptoProvider;
  /** One sentence for the log. */
  readonly why: string;
}

/**
 * The system's libcrypto where Deno may call it (`--allow-ffi=PATH`) and it passes a self-test, else the portable
 * provider. Never prompts for permission.
 * @throws {Error} when a path was given and the library there cannot be used: someone meant that one
 */
export async function chooseCrypto(options: CryptoOptions = {}): Promise<CryptoChoice> {
  const { libcrypto } = options;
  if (libcrypto === false) return await portable("libcrypto is turned off");
  if (libcrypto !== undefined) {
    if (!mayCall(libcrypto)) {
      throw new Error(`no permission to use ${libcrypto}: run with --allow-ffi=${libcrypto}`);
    }
    return { provider: tested(libcrypto), why: `uses ${libcrypto} as configured` };
  }
  const paths = libcryptoPaths();
  const allowed = paths.filter(mayCall);
  if (allowed.length === 0) {
    return await portable(`Deno has no permission to use libcrypto, such as --allow-ffi=${paths[0]}`);
  }
  let fault: unknown;
  for (const path of allowed) {
    try {
      return { provider: tested(path), why: `found ${path}` };
    } catch (error) {
      // One that is there but unusable says more than the many that are not there.
      if (!isMissing(error)) fault ??= error;
    }
  }
  if (fault !== undefined) {
    return await portable(`the system's libcrypto cannot be used: ${(fault as Error).message}`);
  }
  return await portable("no libcrypto.so.3 was found where distributions put it");
}

/** Loaded only where it is needed: it brings Deno's Node layer along. */
async function portable(why: string): Promise<CryptoChoice> {
  const { nodeCrypto } = await import("./crypto_node.ts");
  return { provider: nodeCrypto, why };
}

function mayCall(path: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

function tested(path: string): CryptoProvider {
  const provider = openLibcrypto(path);
  selfTest(provider);
  return provider;
}

/** In the words of the dynamic loader, glibc's and musl's alike; Deno has no code for it. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && /No such file/.test(error.message);
}
