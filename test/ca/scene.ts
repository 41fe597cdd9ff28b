/** An authority in memory, and bearers who want certificates. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { openAuthority } from "../../src/ca/authority.ts";
import type {
  AuthorityParts,
  CaEventContext,
  CaEvents,
  CaRecorder,
  LocalAuthority,
} from "../../src/ca/local.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import type { PublicKey } from "../../src/keys/types.ts";
import type { Identity } from "../../src/identity/principal.ts";
import type { StateFolder } from "../../src/platform/state.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { Collection, Json, Store } from "../../src/store/types.ts";
import { FakeClock } from "../support/fake_clock.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** One record. */
export interface Recorded {
  readonly name: keyof CaEvents;
  readonly details: Record<string, unknown>;
  readonly context: CaEventContext;
}

/** A state folder that is a map, and can be told to fail. */
export class MemoryState implements Pick<StateFolder, "path" | "read" | "write"> {
  readonly path = "/state";
  readonly files = new Map<string, Bytes>();
  /** Writes that still succeed. */
  writesLeft = Infinity;

  read(name: string): Promise<Bytes | undefined> {
    return Promise.resolve(this.files.get(name)?.slice());
  }

  write(name: string, content: Bytes): Promise<void> {
    if (this.writesLeft-- <= 0) return Promise.reject(new Error("killed"));
    this.files.set(name, content.slice());
    return Promise.resolve();
  }
}

export function recorder(): { readonly records: Recorded[]; readonly record: CaRecorder } {
  const records: Recorded[] = [];
  return {
    records,
    record: (name, details, context) => void records.push({ name, details: { ...details }, context }),
  };
}

export interface Scene extends Disposable {
  readonly clock: FakeClock;
  readonly state: MemoryState;
  readonly records: Recorded[];
  readonly parts: AuthorityParts;
  readonly authority: LocalAuthority;
}

/** @param parts what is not as usual @param config the same of the configuration */
export async function scene(
  parts: Partial<AuthorityParts> = {},
  config: Partial<AuthorityParts["config"]> = {},
): Promise<Scene> {
  const clock = new FakeClock();
  const state = new MemoryState();
  const { records, record } = recorder();
  const all: AuthorityParts = {
    clock,
    state,
    store: openMemoryStore(),
    record,
    config: { domain: "mesh.example", trustDomain: "prod.example", profiles: [], ...config },
    ...parts,
  };
  const authority = await openAuthority(all);
  return { clock, state, records, parts: all, authority, [Symbol.dispose]: () => authority.close() };
}

/** Made once: making keys is what takes time. */
export const someKey: PublicKey = (await generatePrivateKey("ssh-ed25519")).publicKey;
export const otherKey: PublicKey = (await generatePrivateKey("ecdsa-sha2-nistp256")).publicKey;

/** A person with a token. */
export function ann(more: Partial<Identity> = {}): Identity {
  return {
    kind: "jwt",
    issuer: "https://id.example",
    subject: "ann-1",
    name: "ann@mycorp.example",
    email: "ann@mycorp.example",
    groups: [],
    claims: {},
    owner: false,
    restrictions: {},
    credential: {},
    ...more,
  };
}

/** A Kubernetes workload with a token. */
export function workload(more: Partial<Identity> = {}): Identity {
  return ann({
    issuer: "https://cluster.example",
    subject: "system:serviceaccount:shop:web",
    name: "web@shop.prod.example",
    email: undefined,
    fqdn: "web.shop.svc.prod.example",
    trustDomain: "prod.example",
    ...more,
  });
}

export const remote = "192.0.2.7:40100";
export const admin = { name: "admin@mycorp.example", remote: "192.0.2.9:1" };

/** `store`, of which `change` replaces methods of the collection `name`, or of every one. */
export function changedStore(
  store: Store,
  name: string | undefined,
  change: (inner: Collection<Json>) => Partial<Collection<Json>>,
): Store {
  return {
    collection<T extends Json>(asked: string): Collection<T> {
      const inner = store.collection<Json>(asked);
      const changed: Collection<Json> = {
        get: (key) => inner.get(key),
        insert: (key, value) => inner.insert(key, value),
        replace: (read, value) => inner.replace(read, value),
        remove: (read) => inner.remove(read),
        list: (options) => inner.list(options),
        watch: (listener) => inner.watch(listener),
        ...(name === undefined || name === asked ? change(inner) : {}),
      };
      return changed as Collection<Json> as Collection<T>;
    },
    close: () => store.close(),
  };
}
