/** The library's public door. */
export * from "./src/bytes/bytes.ts";
