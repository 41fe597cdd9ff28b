/** Flows as the gateway has them: begun on somebody's right, judged again whenever that may have changed. */
import type { Action, DecisionContext, Resource } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import { permitsOpen, type Restrictions } from "../keys/restrictions.ts";
import type { Clock } from "../platform/clock.ts";
import type { Duplex, PlainDuplex } from "../streams/duplex.ts";
import { relay } from "../streams/relay.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Flow, Flows, FlowStart } from "../telemetry/flow.ts";
import type { Judge } from "./policy_file.ts";

/** The right that a flow stands on. */
export interface FlowBasis {
  /** Whose right: judged by what that requester is then. */
  readonly requester: {
    readonly identity: Identity;
    readonly restrictions: Restrictions;
    context(open?: boolean): DecisionContext;
  };
  readonly action: Action;
  readonly resource: Resource;
  /** What a client asked to be led to, as its key's line may name it. */
  readonly asked?: HostPort;
}

/** How long a target may go on towards a client whose channel is closed both ways, in milliseconds. */
const CLOSED_CLIENT_LINGER = 10_000;

export class JudgedFlows {
  readonly #flows: Flows;
  readonly #clock: Clock;
  readonly #bases = new WeakMap<Flow, FlowBasis>();

  constructor(flows: Flows, clock: Clock) {
    this.#flows = flows;
    this.#clock = clock;
  }

  /** Begins a flow: end it, or hand it to {@link carry}. */
  begin(start: Omit<FlowStart, "action">, basis: FlowBasis): Flow {
    const flow = this.#flows.start({ ...start, action: basis.action });
    this.#bases.set(flow, basis);
    return flow;
  }

  /**
   * Relays between both until they have ended, and ends the flow. Never rejects.
   * @param client who asked
   */
  async carry(
    flow: Flow,
    client: PlainDuplex,
    target: Duplex,
  ): Promise<void> {
    let over = false;
    let cancel = () => {};
    client.closed?.then(() => {
      // Nothing can reach the client any more; what it sent may still be on its way to the target.
      const cut = () => flow.cut("aborted", "the client has closed the channel");
      if (!over) cancel = this.#clock.after(CLOSED_CLIENT_LINGER, cut);
    });
    const result = await relay(client, target, { signal: flow.signal, onBytes: flow.onBytes });
    over = true;
    cancel();
    flow.endWith(result);
  }

  /** Cuts what stands on the right of `requester`, whose credential counts no more. */
  withdraw(requester: FlowBasis["requester"], reason: string): void {
    for (const flow of this.#flows) {
      if (this.#bases.get(flow)?.requester === requester) flow.cut("revoked", reason);
    }
  }

  /** Cuts what is no longer permitted; how many that were. */
  judgeAgain(judge: Judge): number {
    let cut = 0;
    for (const flow of this.#flows) {
      const basis = this.#bases.get(flow);
      if (!basis) continue;
      const { requester, action, resource, asked } = basis;
      const decision = judge.decide(requester.identity, action, resource, requester.context(true));
      const listed = !asked || permitsOpen(requester.restrictions, asked.host, asked.port);
      if (decision.allowed && listed) continue;
      flow.cut("revoked", listed ? decision.reason : "the key's line permits it no more (permitopen)");
      cut++;
    }
    return cut;
  }
}
