import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import {
  endOfRank,
  type AttentionAction,
  type ExpertAction,
  type MessageFromParticipant,
  type MessageToParticipant,
  type ParticipantPlan,
  type ParticipantReport,
  type PlainTransportOptions,
} from './transport-script.js';

/** A thread or process that runs `runTransportParticipant`. */
export interface Participant {
  send(message: MessageToParticipant): void;
  /** At once, whatever it is stuck in. */
  kill(): void;
  /** Listeners of the plan under way; replaced by those of the next. */
  onMessage: (message: MessageFromParticipant) => void;
  onEnd: () => void;
  hasEnded: boolean;
}

/** Participants as threads of this process. `startFile` is built JavaScript. */
export function participantThreads(startFile: URL): () => Participant {
  return () => {
    const worker = new Worker(startFile);
    const participant = newParticipant({
      send: (message) => {
        worker.postMessage(message);
      },
      kill: () => void worker.terminate(),
    });
    worker.on('message', (message: MessageFromParticipant) => {
      participant.onMessage(message);
    });
    worker.on('error', () => {
      ended(participant);
    });
    worker.on('exit', () => {
      ended(participant);
    });
    return participant;
  };
}

/** Participants as processes. */
export function participantProcesses(startFile: URL): () => Participant {
  return () => {
    const child = fork(startFile, { execArgv: [] });
    const participant = newParticipant({
      send: (message) => {
        // A process that was killed counts as connected until its exit is noticed.
        if (child.connected) child.send(message, () => undefined);
      },
      kill: () => child.kill('SIGKILL'),
    });
    child.on('message', (message) => {
      participant.onMessage(message as MessageFromParticipant);
    });
    child.on('exit', () => {
      ended(participant);
    });
    return participant;
  };
}

function newParticipant(commands: Pick<Participant, 'send' | 'kill'>): Participant {
  const ignore = (): void => undefined;
  return { ...commands, onMessage: ignore, onEnd: ignore, hasEnded: false };
}

function ended(participant: Participant): void {
  participant.hasEnded = true;
  participant.onEnd();
}

export interface TeamPlan {
  readonly transport: string;
  readonly options: PlainTransportOptions;
  /** [M] and [N] */
  readonly attention: readonly (readonly AttentionAction[])[];
  readonly expert: readonly (readonly ExpertAction[])[];
  readonly seed?: number;
  /** Options that all ranks of one pool have instead. */
  readonly expertOptions?: Partial<PlainTransportOptions>;
  readonly stopAfterMs?: number;
  readonly stopOnceOpenMs?: number;
  /** Applied to every address on its way through the rendezvous. */
  readonly changeAddress?: (address: string) => string;
}

/** [M] and [N]; undefined for a participant that ended without a report. */
export interface TeamReport {
  readonly attention: readonly (ParticipantReport | undefined)[];
  readonly expert: readonly (ParticipantReport | undefined)[];
}

/** Until participants that were told to end are killed. */
const endPatienceMs = 10_000;

/** Runs plans, each with as many participants as it has ranks, and keeps them for the next plan. */
export class TransportTeam {
  readonly #idle: Participant[] = [];
  readonly #all: Participant[] = [];

  readonly #start: () => Participant;

  constructor(start: () => Participant) {
    this.#start = start;
  }

  async run(plan: TeamPlan): Promise<TeamReport> {
    const plans = participantPlans(plan);
    const participants = plans.map(() => this.#take());
    const addresses: (string | undefined)[] = plans.map(() => undefined);
    const giveAddress = (index: number, address: string): void => {
      addresses[index] = plan.changeAddress?.(address) ?? address;
      const all = addresses.flatMap((known) => (known === undefined ? [] : [known]));
      if (all.length < plans.length) return;
      const attention = all.slice(0, plan.attention.length);
      const expert = all.slice(plan.attention.length);
      for (const participant of participants) {
        if (!participant.hasEnded) participant.send({ type: 'addresses', attention, expert });
      }
    };
    const opening = new Set(participants);
    const haveOpened: Participant[] = [];
    const leaveOpening = (participant: Participant): void => {
      if (!opening.delete(participant) || opening.size > 0) return;
      for (const opened of haveOpened) if (!opened.hasEnded) opened.send({ type: 'go' });
    };
    const tellAll = (event: string): void => {
      for (const participant of participants) {
        if (!participant.hasEnded) participant.send({ type: 'event', event });
      }
    };
    const reports = await Promise.all(
      participants.map((participant, index) => {
        const own = plans[index];
        if (own === undefined) throw new Error('There is a plan for each participant.');
        return runOne(participant, own, {
          onAddress: (address) => {
            giveAddress(index, address);
          },
          onOpened: () => {
            haveOpened.push(participant);
            leaveOpening(participant);
          },
          onSignal: tellAll,
        }).finally(() => {
          tellAll(endOfRank(own.role, own.rank));
          // Who ended without an address has none to be reached at: the others need not wait for
          // it.
          if (addresses[index] === undefined) giveAddress(index, '');
          leaveOpening(participant);
        });
      }),
    );
    this.#idle.push(...participants.filter(({ hasEnded }) => !hasEnded));
    return {
      attention: reports.slice(0, plan.attention.length),
      expert: reports.slice(plan.attention.length),
    };
  }

  async close(): Promise<void> {
    const running = this.#idle.splice(0).filter(({ hasEnded }) => !hasEnded);
    const limit = setTimeout(() => {
      for (const participant of running) participant.kill();
    }, endPatienceMs);
    await Promise.all(running.map(endOf));
    clearTimeout(limit);
    // A participant that is still busy belongs to a run that its test gave up.
    for (const participant of this.#all.splice(0)) if (!participant.hasEnded) participant.kill();
  }

  #take(): Participant {
    for (;;) {
      const participant = this.#idle.pop();
      if (participant === undefined) {
        const started = this.#start();
        this.#all.push(started);
        return started;
      }
      if (!participant.hasEnded) return participant;
    }
  }
}

interface ProgressListener {
  onAddress(address: string): void;
  onOpened(): void;
  onSignal(event: string): void;
}

function runOne(
  participant: Participant,
  plan: ParticipantPlan,
  on: ProgressListener,
): Promise<ParticipantReport | undefined> {
  return new Promise((resolve) => {
    participant.onEnd = () => {
      resolve(undefined);
    };
    participant.onMessage = (message) => {
      if (message.type === 'address') on.onAddress(message.address);
      else if (message.type === 'opened') on.onOpened();
      else if (message.type === 'signal') on.onSignal(message.event);
      else resolve(message.report);
    };
    participant.send({ type: 'run', plan });
  });
}

function participantPlans(plan: TeamPlan): ParticipantPlan[] {
  const { transport, options, expertOptions, stopAfterMs, stopOnceOpenMs, seed = 1 } = plan;
  const stop = {
    ...(stopAfterMs === undefined ? {} : { stopAfterMs }),
    ...(stopOnceOpenMs === undefined ? {} : { stopOnceOpenMs }),
  };
  return [
    ...plan.attention.map((actions, rank) => {
      return {
        role: 'attention',
        transport,
        rank,
        seed: seed + rank,
        options,
        actions,
        ...stop,
      } as const;
    }),
    ...plan.expert.map((actions, rank) => {
      const own = { ...options, ...expertOptions };
      return { role: 'expert', transport, rank, seed, options: own, actions, ...stop } as const;
    }),
  ];
}

function endOf(participant: Participant): Promise<void> {
  return new Promise((resolve) => {
    participant.onEnd = resolve;
    participant.send({ type: 'end' });
  });
}
