/**
 * Keywords that do nothing here, and why that is harmless, or why it is not. Harmless is what leaves the server as
 * strict as the file wants it, or stricter; what would leave it less strict is refused.
 */

export interface Unsupported {
  /** Why it makes no difference, or what is missing; ends a sentence that starts with the keyword. */
  readonly reason: string;
  /** Whether these arguments, in lower case, are harmless; without it all are. */
  harmless?(args: readonly string[]): boolean;
}

/** Harmless with any argument. */
const harmless = (reason: string): Unsupported => ({ reason });

/** Harmless with one of these words only. */
const only = (words: string, reason: string): Unsupported => ({
  reason,
  harmless: ([value]) => words.split(" ").includes(value),
});

const NOT_OFFERED = "is a way to log in that is not offered here";
const NO_X11 = "has no effect: X11 is never forwarded";
const HISTORY = "is of a protocol or a design that is gone";

/** The mask of Unix sockets that are made here: for their owner only. */
const SOCKET_MASK = 0o177;

/** By keyword in lower case. */
export const unsupported: Readonly<Record<string, Unsupported>> = {
  // Less than the file allows.
  x11forwarding: harmless(NO_X11),
  x11displayoffset: harmless(NO_X11),
  x11uselocalhost: harmless(NO_X11),
  xauthlocation: harmless(NO_X11),
  hostbasedauthentication: harmless(NOT_OFFERED),
  hostbasedacceptedalgorithms: harmless(NOT_OFFERED),
  hostbasedusesnamefrompacketonly: harmless(NOT_OFFERED),
  ignorerhosts: harmless(NOT_OFFERED),
  ignoreuserknownhosts: harmless(NOT_OFFERED),
  rhostsauthentication: harmless(NOT_OFFERED),
  rhostsrsaauthentication: harmless(NOT_OFFERED),
  gssapiauthentication: harmless(NOT_OFFERED),
  gssapicleanupcredentials: harmless(NOT_OFFERED),
  gssapidelegatecredentials: harmless(NOT_OFFERED),
  gssapikeyexchange: harmless(NOT_OFFERED),
  gssapikexalgorithms: harmless(NOT_OFFERED),
  gssapistrictacceptorcheck: harmless(NOT_OFFERED),
  gssapistorecredentialsonrekey: harmless(NOT_OFFERED),
  kerberosauthentication: harmless(NOT_OFFERED),
  kerberosgetafstoken: harmless(NOT_OFFERED),
  kerberosorlocalpasswd: harmless(NOT_OFFERED),
  kerberosticketcleanup: harmless(NOT_OFFERED),
  permitemptypasswords: harmless("has no effect: an empty password never logs in"),
  permittunnel: harmless("has no effect: there are no tunnel devices"),
  permituserrc: harmless("has no effect: ~/.ssh/rc is not run"),
  streamlocalbindunlink: harmless("has no effect: a socket that is in the way is not removed"),
  compression: harmless("has no effect: nothing is compressed"),
  exposeauthinfo: harmless("has no effect: how somebody logged in is not told to the session"),

  // Appearance, logging, the machine's affairs.
  printmotd: harmless("has no effect: no message of the day is printed"),
  printlastlog: harmless("has no effect: no last login is printed"),
  usedns: harmless("has no effect: client addresses are not looked up, patterns of names match addresses"),
  versionaddendum: harmless("has no effect: the identification line says nothing more"),
  debianbanner: harmless("has no effect: the identification line says nothing more"),
  fingerprinthash: harmless("has no effect: fingerprints are SHA256"),
  syslogfacility: harmless("has no effect: logs go to standard error"),
  logverbose: harmless("has no effect: the level is the same everywhere"),
  tcpkeepalive: harmless("has no effect: ClientAliveInterval finds dead peers"),
  ipqos: harmless("has no effect: the system's service class is used"),
  modulifile: harmless("has no effect: key exchange does not use it"),
  securitykeyprovider: harmless("has no effect: security keys are verified without a library"),
  sshdsessionpath: harmless("has no effect: there are no helper programs"),
  sshdauthpath: harmless("has no effect: there are no helper programs"),
  agentsocketpath: harmless("has no effect: agent sockets have a private folder of their own"),
  warnweakcrypto: harmless("has no effect: clients are not warned"),
  persourcepenaltyexemptlist: harmless("has no effect: there are no penalties to be exempt from"),
  usepam: harmless("has no effect: PAM is not asked, neither about accounts nor about sessions"),
  pamservicename: harmless("has no effect: PAM is not asked"),

  // The past.
  protocol: only("2 2,1 1,2", "1 is of a protocol that is gone"),
  useprivilegeseparation: harmless(HISTORY),
  uselogin: only("no", "would hand logins to another program"),
  authorizedkeysfile2: harmless(HISTORY),
  rsaauthentication: harmless(HISTORY),
  keyregenerationinterval: harmless(HISTORY),
  serverkeybits: harmless(HISTORY),
  verifyreversemapping: harmless(HISTORY),
  reversemappingcheck: harmless(HISTORY),
  checkmail: harmless(HISTORY),
  dhcpcd: harmless(HISTORY),

  // Missing these would let in, or let do, more than the file says.
  chrootdirectory: only("none", "would confine sessions, and nothing here does"),
  hostkeyagent: only("none", "would keep host keys in an agent, which is not supported"),
  persourcepenalties: only("no", "penalizes sources, which is not supported"),
  channeltimeout: only("none", "closes idle channels, which is not supported"),
  unusedconnectiontimeout: only("none 0", "closes unused connections, which is not supported"),
  refuseconnection: only("no", "refuses connections, which is not supported"),
  streamlocalbindmask: {
    reason: `would make sockets less accessible than the mask 0177 does`,
    harmless: ([mask]) => /^[0-7]+$/.test(mask) && (parseInt(mask, 8) & ~SOCKET_MASK) === 0,
  },
  rdomain: only("none", "would bind to a routing domain, which is not supported"),
  routingdomain: only("none", "would bind to a routing domain, which is not supported"),
};
