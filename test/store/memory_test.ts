import { openMemoryStore } from "../../src/store/memory.ts";
import { testStore } from "../contract/store_contract.ts";

testStore("memory", () => ({
  lasting: false,
  open: () => Promise.resolve(openMemoryStore()),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}));
