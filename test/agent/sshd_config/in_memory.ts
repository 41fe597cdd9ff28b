/** An sshd_config in memory. */
import { type ConfigSource, parseSshdConfig } from "../../../src/agent/sshd_config/parse.ts";
import { evaluate, type SshdConfig } from "../../../src/agent/sshd_config/evaluate.ts";
import type { LoginContext } from "../../../src/agent/sshd_config/match.ts";
import { matchesPattern } from "../../../src/keys/patterns.ts";

/** Files in memory; a glob matches by prefix up to `*`. */
export function files(contents: Record<string, string>): ConfigSource {
  return {
    read: (path) =>
      path in contents ? Promise.resolve(contents[path]) : Promise.reject(new Error("no such file")),
    glob: (pattern) =>
      Promise.resolve(Object.keys(contents).filter((path) => matchesPattern(path, pattern)).sort()),
  };
}

export const parse = (text: string, more: Record<string, string> = {}) =>
  parseSshdConfig("/c", files({ "/c": text, ...more }));

export const login: LoginContext = {
  user: "root",
  groups: ["root", "wheel"],
  host: "h.example",
  address: "1.2.3.4",
  localAddress: "10.0.0.1",
  localPort: 2222,
};

export const effective = async (text: string, context?: LoginContext): Promise<SshdConfig> =>
  evaluate(await parse(text), context);
