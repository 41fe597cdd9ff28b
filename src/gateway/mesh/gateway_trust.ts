/** Whether a gateway that is joined is the one that is meant. */
import { decodeText, encodeText } from "../../bytes/bytes.ts";
import { checkCertificate } from "../../cert/check.ts";
import { changeHostKeys, hostName, lookUpHost, parseKnownHosts } from "../../keys/known_hosts.ts";
import type { Clock } from "../../platform/clock.ts";
import type { TcpAddress } from "../../platform/net.ts";
import type { StateFolder } from "../../platform/state.ts";
import type { ProvenHostKey } from "../../ssh/transport/host_key.ts";
import { logger } from "../../telemetry/log.ts";

/** Keys that were believed because they were the first: in the state folder. */
const PINS_NAME = "joined_known_hosts";

/** Judges host keys by a known_hosts file, or where none is named by the first that was seen. */
export class JoinedGatewayTrust {
  readonly #knownHosts: string | undefined;
  readonly #state: Pick<StateFolder, "path" | "read" | "write">;
  readonly #clock: Clock;

  /** @param knownHosts text of the file that the user named */
  constructor(
    knownHosts: string | undefined,
    state: Pick<StateFolder, "path" | "read" | "write">,
    clock: Clock,
  ) {
    this.#knownHosts = knownHosts;
    this.#state = state;
    this.#clock = clock;
  }

  /** @returns true, or a sentence that says why not */
  async verify({ hostname, port }: TcpAddress, shown: ProvenHostKey): Promise<true | string> {
    const pins = this.#knownHosts === undefined;
    const text = this.#knownHosts ?? decodeText(await this.#state.read(PINS_NAME) ?? new Uint8Array());
    const { key, certificate } = shown;
    const { verdict } = await lookUpHost(parseKnownHosts(text), hostname, port, {
      key,
      authority: certificate?.signatureKey,
    });
    const where = hostName(hostname, port);
    const fingerprint = await key.fingerprint();
    switch (verdict) {
      case "known":
        return true;
      case "authority": {
        const fault = await checkCertificate(certificate!, {
          role: "host",
          principals: [hostname],
          now: this.#clock.now(),
          trusted: () => true,
        });
        return fault === undefined || `the host certificate of ${where} does not count: ${fault}`;
      }
      case "unknown":
        if (!pins) return `${where} is not in the known_hosts file; its key is ${fingerprint}`;
        await this.#state.write(
          PINS_NAME,
          encodeText(await changeHostKeys(text, hostname, port, { add: [key], remove: [] })),
        );
        logger("gateway").warn(
          "{where} is believed on first use: from now on only with the host key {fingerprint}",
          {
            where,
            fingerprint,
          },
        );
        return true;
      default:
        return `${where} shows another host key (${fingerprint}) than the one that is known: somebody may be in ` +
          `between; if it was made anew, take its line out of ${
            pins ? `${this.#state.path}/${PINS_NAME}` : "the file"
          }`;
    }
  }
}
