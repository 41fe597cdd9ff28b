import { MemoryRegistry } from "../../src/routing/memory.ts";
import { LIFETIME, registryContract } from "../contract/registry.ts";

registryContract("memory", (clock, options) => new MemoryRegistry({ clock, lifetime: LIFETIME, ...options }));
