/** The methods of the client. Adding one is one row. */
import type { Candidate } from "./exchange.ts";
import { keyboardInteractiveCandidates } from "./keyboard_interactive.ts";
import { passwordCandidates } from "./password.ts";
import { publicKeyCandidates } from "./public_key.ts";
import type { Credential } from "./types.ts";

type Expand<C extends Credential> = (credential: C) => Candidate[];

const CLIENT_METHODS: { readonly [M in Credential["method"]]: Expand<Extract<Credential, { method: M }>> } = {
  "publickey": publicKeyCandidates,
  "password": passwordCandidates,
  "keyboard-interactive": keyboardInteractiveCandidates,
};

/** All that can be tried with `credential`, in order. @throws {TypeError} when it contradicts itself */
export function candidatesOf(credential: Credential): Candidate[] {
  return (CLIENT_METHODS[credential.method] as Expand<Credential>)(credential);
}
