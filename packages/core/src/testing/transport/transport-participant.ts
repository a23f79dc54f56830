import { isMainThread, parentPort } from 'node:worker_threads';
import { systemClock } from '../../clock.js';
import { serializeError, type SerializedError } from '../../errors.js';
import type { TransportFactory, TransportOptions } from '../../spec/transport.js';
import { attentionRank, expertRank } from '../../spec/units.js';
import { AttentionActor } from './transport-attention.js';
import { ExpertActor } from './transport-expert.js';
import { blockFor } from './transport-rows.js';
import {
  stopText,
  type MessageFromParticipant,
  type MessageToParticipant,
  type ParticipantPlan,
  type ParticipantReport,
} from './transport-script.js';

const troubleMax = 5;

interface Actor {
  readonly trouble: readonly string[];
  readonly rows: readonly number[];
  readonly inputs?: number;
  readonly merged?: number;
}

type Outcome = ParticipantReport['outcomes'][number];
type MessageOf<Type> = Extract<MessageToParticipant, { readonly type: Type }>;

/**
 * The whole of a participant's start file: plays one worker after the other, as `transportContract`
 * asks for in messages, in this thread or process. Returns at the last one.
 */
export async function runTransportParticipant(
  factories: readonly TransportFactory[],
): Promise<void> {
  const inbox = new Inbox();
  for (;;) {
    const message = await inbox.next();
    if (message.type === 'end') break;
    if (message.type !== 'run') continue;
    const report = await play(message.plan, factories, inbox);
    send({ type: 'report', report });
  }
  inbox.close();
}

async function play(
  plan: ParticipantPlan,
  factories: readonly TransportFactory[],
  inbox: Inbox,
): Promise<ParticipantReport> {
  const outcomes: Outcome[] = [];
  let actor: Actor | undefined;
  let error: SerializedError | undefined;
  try {
    const factory = factories.find(({ name }) => name === plan.transport);
    if (factory === undefined) throw new Error(`There is no transport ${plan.transport}.`);
    const stop = new StopLimits(plan);
    const options = optionsOf(plan, inbox, stop);
    if (plan.role === 'attention') {
      const port = await factory.openAttention(attentionRank(plan.rank), options);
      const attention = new AttentionActor(port, plan);
      actor = attention;
      try {
        await opened(inbox, stop);
        for (const action of plan.actions) await perform(attention, action, inbox, outcomes);
      } finally {
        port.close();
      }
    } else {
      const port = await factory.openExpert(expertRank(plan.rank), options);
      const expert = new ExpertActor(port, plan);
      actor = expert;
      try {
        await opened(inbox, stop);
        for (const action of plan.actions) await perform(expert, action, inbox, outcomes);
      } finally {
        port.close();
      }
    }
  } catch (thrown) {
    error = serializeError(thrown);
  }
  return {
    ...(error === undefined ? {} : { error }),
    outcomes,
    trouble: actor?.trouble.slice(0, troubleMax) ?? [],
    rows: actor?.rows ?? [],
    inputs: actor?.inputs ?? 0,
    merged: actor?.merged ?? 0,
  };
}

/** No action before all ports are open: it could end a peer's opening. */
async function opened(inbox: Inbox, stop: StopLimits): Promise<void> {
  send({ type: 'opened' });
  await inbox.nextOf('go');
  stop.beginOpen();
}

/** When a plan gives its ports a reason to stop. */
class StopLimits {
  #stopUs = Number.POSITIVE_INFINITY;
  readonly #stopOnceOpenMs: number;

  constructor({
    stopAfterMs = Number.POSITIVE_INFINITY,
    stopOnceOpenMs = Number.POSITIVE_INFINITY,
  }: ParticipantPlan) {
    this.#stopOnceOpenMs = stopOnceOpenMs;
    this.#limitTo(stopAfterMs);
  }

  /** All ports are open. */
  beginOpen(): void {
    this.#limitTo(this.#stopOnceOpenMs);
  }

  reason(): string | undefined {
    return systemClock.nowUs() > this.#stopUs ? stopText : undefined;
  }

  #limitTo(ms: number): void {
    this.#stopUs = Math.min(this.#stopUs, systemClock.nowUs() + ms * 1000);
  }
}

interface Performable {
  readonly type: string;
  readonly throws?: string;
  readonly ms?: number;
  readonly event?: string;
}

/** Runs one action and notes how it went; an error that the action does not expect goes on. */
async function perform<Action extends Performable>(
  actor: { act(action: Action): void },
  action: Action,
  inbox: Inbox,
  outcomes: Outcome[],
): Promise<void> {
  const beganUs = systemClock.nowUs();
  const note = (error?: SerializedError): void => {
    const elapsedMs = (systemClock.nowUs() - beganUs) / 1000;
    outcomes.push({ type: action.type, elapsedMs, ...(error === undefined ? {} : { error }) });
  };
  try {
    if (action.type === 'sleep') blockFor(action.ms ?? 0);
    else if (action.type === 'die') die();
    else if (action.type === 'await') await inbox.event(action.event ?? '');
    else if (action.type === 'signal') send({ type: 'signal', event: action.event ?? '' });
    else actor.act(action);
  } catch (thrown) {
    const error = serializeError(thrown);
    note(error);
    if (error.code === undefined || error.code !== action.throws) throw thrown;
    return;
  }
  note();
  if (action.throws !== undefined) {
    throw new Error(`${action.type} should have thrown ${action.throws}.`);
  }
}

function die(): void {
  if (isMainThread) process.kill(process.pid, 'SIGKILL');
  else process.exit();
  blockFor(60_000);
}

function optionsOf(plan: ParticipantPlan, inbox: Inbox, stop: StopLimits): TransportOptions {
  return {
    ...plan.options,
    clock: systemClock,
    stopReason: () => stop.reason(),
    allocate: (byteLength) => ({
      memory: 'host',
      byteLength,
      bytes: new Uint8Array(byteLength),
    }),
    rendezvous: {
      exchange: async (address) => {
        send({ type: 'address', address });
        return inbox.nextOf('addresses');
      },
    },
  };
}

function send(message: MessageFromParticipant): void {
  if (parentPort === null) process.send?.(message);
  else parentPort.postMessage(message);
}

/** Messages in the order they came, one at a time. */
class Inbox {
  readonly #messages: MessageToParticipant[] = [];
  /** Of the plan under way. */
  readonly #events = new Set<string>();
  #wake: (() => void) | undefined;

  constructor() {
    const receive = (message: MessageToParticipant): void => {
      if (message.type === 'run') this.#events.clear();
      if (message.type === 'event') this.#events.add(message.event);
      else this.#messages.push(message);
      this.#wake?.();
    };
    if (parentPort === null) process.on('message', receive);
    else parentPort.on('message', receive);
  }

  async next(): Promise<MessageToParticipant> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await this.#arrival();
    }
  }

  /** Returns at once if the event came before. */
  async event(event: string): Promise<void> {
    while (!this.#events.has(event)) await this.#arrival();
  }

  /** Passes over others. */
  async nextOf<Type extends MessageToParticipant['type']>(type: Type): Promise<MessageOf<Type>> {
    for (;;) {
      const message = await this.next();
      if (message.type === type) return message as MessageOf<Type>;
    }
  }

  close(): void {
    if (parentPort === null) process.disconnect();
    else parentPort.close();
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
