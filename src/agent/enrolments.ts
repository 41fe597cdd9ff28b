/** At which gateways a join token has enrolled this agent's key: kept in the state folder. */
import { decodeText, encodeText } from "../bytes/bytes.ts";
import type { StateFolder } from "../platform/state.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";

const FILE = "agent_enrolments.json";

/** One enrolment. Nothing in it is secret. */
export interface Enrolment {
  /** Id of the join token. */
  readonly token: string;
  /** `SHA256:…` of the key. */
  readonly key: string;
}

/** Undefined where there is none. @throws {AgentError | StateError} */
export async function findEnrolment(
  state: StateFolder,
  gateway: GatewayAddress,
): Promise<Enrolment | undefined> {
  const all = await readAll(state);
  return Object.hasOwn(all, formatGateway(gateway)) ? all[formatGateway(gateway)] : undefined;
}

/** In place of an earlier one at the same gateway. */
export async function keepEnrolment(
  state: StateFolder,
  gateway: GatewayAddress,
  enrolment: Enrolment,
): Promise<void> {
  const all = { ...await readAll(state), [formatGateway(gateway)]: enrolment };
  await state.write(FILE, encodeText(JSON.stringify(all, undefined, 2) + "\n"));
}

async function readAll(state: StateFolder): Promise<Record<string, Enrolment>> {
  const saved = await state.read(FILE);
  if (!saved) return {};
  try {
    const all = JSON.parse(decodeText(saved));
    const isEnrolment = (value: unknown) => {
      const { token, key } = (value ?? {}) as Partial<Enrolment>;
      return typeof token === "string" && typeof key === "string";
    };
    if (all !== null && typeof all === "object" && Object.values(all).every(isEnrolment)) return all;
  } catch {
    // Told of below.
  }
  throw new AgentError(
    "state",
    `${state.path}/${FILE} is not what this agent wrote: take it away to enrol anew`,
  );
}
