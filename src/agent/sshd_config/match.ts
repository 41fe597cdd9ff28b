/** The conditions of Match blocks. */
import { matchFrom } from "../../keys/addresses.ts";
import { matchPatternList } from "../../keys/patterns.ts";
import { checkAddressList, matchAnyOfList } from "./patterns.ts";

/** One login, as far as Match asks. */
export interface LoginContext {
  readonly user: string;
  /** Names of the user's groups; undefined when there is no such user. */
  readonly groups: readonly string[] | undefined;
  /** The client's name where UseDNS would find one, else its address. */
  readonly host: string;
  readonly address: string;
  readonly localAddress: string;
  readonly localPort: number;
}

/** Whether a login meets all criteria of one Match line. */
export type Condition = (login: LoginContext) => boolean;

/** A criterion: checks its argument, then makes the condition. */
type Criterion = (argument: string) => Condition;

const criteria: Readonly<Record<string, Criterion>> = {
  user: (list) => ({ user }) => matchPatternList(user, list) === "match",
  group: (list) => ({ groups }) => matchAnyOfList(groups ?? [], list) === "match",
  host: (list) => ({ host }) => matchPatternList(host.toLowerCase(), list.toLowerCase()) === "match",
  address: (list) => {
    checkAddressList(list);
    return ({ address }) => matchFrom({ address }, list) === "match";
  },
  localaddress: (list) => {
    checkAddressList(list);
    return ({ localAddress }) => matchFrom({ address: localAddress }, list) === "match";
  },
  localport: (text) => {
    const port = Number(text);
    if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535) throw new TypeError(`'${text}' is not a port`);
    return ({ localPort }) => localPort === port;
  },
};

/** Criteria without an argument; they exclude each other's company as OpenSSH has it. */
const flags: Readonly<Record<string, Condition>> = {
  "all": () => true,
  "invalid-user": ({ groups }) => groups === undefined,
};

/**
 * Reads the arguments of a Match line: `User a,b Address 10.0.0.0/8`, also with `=` between the two; or `all`.
 * @throws {TypeError} with a sentence
 */
export function parseMatch(args: readonly string[]): Condition {
  // "user=root" is one argument, "user = root" three, both mean the same.
  const words = args.flatMap((arg) => {
    const at = arg.indexOf("=");
    return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)].filter((word) => word !== "");
  });
  const conditions: Condition[] = [];
  for (let at = 0; at < words.length;) {
    const name = words[at].toLowerCase();
    if (name === "rdomain") {
      throw new TypeError("Match RDomain is not supported: there are no routing domains");
    }
    if (Object.hasOwn(flags, name)) {
      if (name === "all" && words.length > 1) throw new TypeError("Match all stands alone");
      conditions.push(flags[name]);
      at++;
    } else if (Object.hasOwn(criteria, name)) {
      const argument = words[at + 1];
      if (argument === undefined) throw new TypeError(`Match ${words[at]} needs an argument`);
      conditions.push(criteria[name](argument));
      at += 2;
    } else {
      throw new TypeError(`Match does not know '${words[at]}'`);
    }
  }
  return (login) => conditions.every((condition) => condition(login));
}
