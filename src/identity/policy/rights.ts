/** The rights that rules give, and what each is about. */

/** What a right is exercised on, and so what `what:` must name for it. */
export type RightScope = "node" | "dial" | "listen" | "none";

/** Every right, with its scope and its meaning. */
export const rightTable = {
  register: { scope: "node", meaning: "serve a node under this name" },
  publish: { scope: "node", meaning: "open ports 80 and 443 of a registered node to the world" },
  shared: { scope: "node", meaning: "be one of several instances behind one name" },
  connect: { scope: "node", meaning: "open connections to the node's registered ports" },
  login: { scope: "node", meaning: "get a shell on the node" },
  exec: { scope: "node", meaning: "run commands on the node" },
  sftp: { scope: "node", meaning: "move files to and from the node" },
  forward: { scope: "node", meaning: "forward ports through the node's SSH server" },
  "cert-host": { scope: "node", meaning: "get a host certificate for the name" },
  listen: { scope: "listen", meaning: "open a listening port on the gateway" },
  dial: { scope: "dial", meaning: "reach an address through the gateway or a node" },
  cert: { scope: "none", meaning: "get a certificate for oneself" },
  assert: { scope: "none", meaning: "vouch, as a gateway, for the users whose connections it passes on" },
  admin: { scope: "none", meaning: "change and see everything here" },
  audit: { scope: "none", meaning: "read flow and audit records" },
} as const satisfies Record<string, { scope: RightScope; meaning: string }>;

/** A right by its name in rules. */
export type Right = keyof typeof rightTable;

/** All rights, in the order of the table. */
export const rights = Object.keys(rightTable) as [Right, ...Right[]];

/** What everybody with a credential may do without a rule, beside a `cert` for oneself. */
export const selfServiceActions = ["whoami", "help", "known-hosts"] as const;

/** What {@link authorize} decides about. */
export type Action = Right | typeof selfServiceActions[number];

/** Rights of a connection or a registration: refused to a credential that forbids port forwarding. */
export const forwardingRights: ReadonlySet<Action> = new Set<Action>([
  "register",
  "publish",
  "shared",
  "connect",
  "forward",
  "listen",
  "dial",
]);

/** What a key that was enrolled with a join token may do under its own name, without a rule. */
export const enrolledRights: ReadonlySet<Action> = new Set<Action>(["register", "cert-host"]);

/** Rights that act as a login name on the node, so that `as:` applies. */
export const loginRights: ReadonlySet<Action> = new Set<Action>(["login", "exec", "sftp", "forward"]);
