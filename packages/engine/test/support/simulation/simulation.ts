import { Worker } from 'node:worker_threads';
import { SimulatedWorld } from '@megascale/m2n/testing';
import type {
  Admission,
  CoordinatorMessage,
  GeneratedToken,
} from '../../../src/protocol/messages.js';
import { ThreadControl } from '../../../src/worker/thread-control.js';
import { Mailbox } from './mailbox.js';
import type { MovesEnd } from './moves.js';
import type { RankEnd, RankStart, WorldStart } from './rank.js';
import type { Addresses, FromRank, ToRank } from './rank-thread.js';
import type { Schedule } from './schedule.js';
import type { TimedMessage } from './simulated-inbox.js';

/** By the clock on the wall: a simulation that takes longer is stuck. */
const limitMs = 60_000;

export interface Simulated {
  /** [requests] */
  readonly outputs: readonly (readonly GeneratedToken[])[];
  /** Attention ranks, then expert ranks. */
  readonly ranks: readonly RankEnd[];
  readonly moves: MovesEnd;
  /** Changes of the rank that has the turn. */
  readonly turns: number;
  readonly simulatedUs: number;
}

/** Threads that play schedules, one schedule at a time. */
export class Simulation {
  readonly #threads: RankThread[] = [];

  async play(schedule: Schedule): Promise<Simulated> {
    const { attentionWorkers, expertWorkers, seed } = schedule;
    const count = attentionWorkers + expertWorkers;
    while (this.#threads.length <= count) this.#threads.push(new RankThread());
    const threads = this.#threads.slice(0, count);
    const coordinator = this.#threads[count];
    if (coordinator === undefined) throw new Error('There is one more thread than ranks.');
    const world = SimulatedWorld.create(count + 1, seed);
    const shared = {
      schedule,
      world: world.memory,
      control: new ThreadControl().memory,
      idle: new SharedArrayBuffer(4),
      mailboxes: Array.from({ length: count + 1 }, () => Mailbox.memory()),
    };
    let limit: NodeJS.Timeout | undefined;
    try {
      const ends = threads.map((thread, index) =>
        thread.play({
          ...shared,
          ...(index < attentionWorkers
            ? { role: 'attention', rank: index, coming: comingFor(schedule, index) }
            : { role: 'expert', rank: index - attentionWorkers, coming: [] }),
        }),
      );
      const addresses = await Promise.all(threads.map((thread) => thread.reachable()));
      for (const thread of threads) {
        thread.tell({
          attention: addresses.slice(0, attentionWorkers),
          expert: addresses.slice(attentionWorkers),
        });
      }
      const moves = coordinator.move(shared);
      await Promise.all([...threads, coordinator].map((thread) => thread.opened()));
      limit = setTimeout(() => {
        world.break();
      }, limitMs);
      world.start();
      const ranks = await Promise.all(ends);
      return { ...collect(schedule, ranks), ranks, moves: await moves, turns: world.turns };
    } finally {
      clearTimeout(limit);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

/** What the coordinator sends to one attention worker, and when. */
function comingFor(
  { requests, attentionWorkers }: Schedule,
  rank: number,
): TimedMessage<CoordinatorMessage>[] {
  const messages = requests.flatMap((request, id): TimedMessage<CoordinatorMessage>[] => {
    if (request.worker % attentionWorkers !== rank) return [];
    const { arrivesUs, leavesAfterUs } = request;
    const admission: Admission = {
      id,
      promptTokenIds: [...request.prompt],
      maxTokens: request.maxTokens,
      endTokenIds: request.stopsAtZero ? [0] : [],
      sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 },
      priority: request.priority,
      submittedUs: arrivesUs,
    };
    const arrival: TimedMessage<CoordinatorMessage> = {
      atUs: arrivesUs,
      message: { type: 'sequences-admitted', sequences: [admission] },
    };
    if (leavesAfterUs === undefined) return [arrival];
    return [
      arrival,
      { atUs: arrivesUs + leavesAfterUs, message: { type: 'sequence-cancelled', id } },
    ];
  });
  return messages.sort((a, b) => a.atUs - b.atUs);
}

function collect(
  { requests }: Schedule,
  ranks: readonly RankEnd[],
): Pick<Simulated, 'outputs' | 'simulatedUs'> {
  const outputs: GeneratedToken[][] = requests.map(() => []);
  let simulatedUs = 0;
  for (const { sent } of ranks) {
    for (const { atUs, message } of sent) {
      simulatedUs = Math.max(simulatedUs, atUs);
      if (message.type !== 'tokens-generated') continue;
      for (const token of message.tokens) outputs[token.sequence]?.push(token);
    }
  }
  return { outputs, simulatedUs };
}

class RankThread {
  readonly #worker = new Worker(new URL('./rank-thread.mjs', import.meta.url), {
    execArgv: [],
  });
  readonly #said: FromRank[] = [];
  #waits: (() => void)[] = [];
  #failure: Error | undefined;

  constructor() {
    this.#worker.on('message', (message: FromRank) => {
      this.#said.push(message);
      this.#lookAgain();
    });
    this.#worker.on('error', (error) => {
      this.#failure = error;
      this.#lookAgain();
    });
  }

  async play(start: RankStart): Promise<RankEnd> {
    this.#post({ type: 'play', start });
    return (await this.#take('ended')).end;
  }

  async move(start: WorldStart): Promise<MovesEnd> {
    this.#post({ type: 'move', start });
    return (await this.#take('moved')).end;
  }

  async reachable(): Promise<string> {
    return (await this.#take('reachable')).address;
  }

  async opened(): Promise<void> {
    await this.#take('opened');
  }

  tell(addresses: Addresses): void {
    this.#post({ type: 'addresses', addresses });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(message: ToRank): void {
    this.#worker.postMessage(message);
  }

  #lookAgain(): void {
    for (const look of this.#waits.splice(0)) look();
  }

  async #take<Type extends FromRank['type']>(
    type: Type,
  ): Promise<Extract<FromRank, { type: Type }>> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const place = this.#said.findIndex((message) => message.type === type);
      if (place >= 0) {
        return this.#said.splice(place, 1)[0] as Extract<FromRank, { type: Type }>;
      }
      await new Promise<void>((resolve) => this.#waits.push(resolve));
    }
  }
}
