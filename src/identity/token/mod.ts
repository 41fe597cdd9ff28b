/** Tokens of trusted issuers: what other rooms may use. */
export { type IssuerDefaults, issuerSchema, type IssuerSetting, prepareIssuers } from "./issuers.ts";
export { type TokenSources, tokenVerifier } from "./verifier.ts";
export * from "./types.ts";
