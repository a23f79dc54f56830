import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import type {
  AttentionAction,
  ExpertAction,
  MessageFromParticipant,
  MessageToParticipant,
  ParticipantPlan,
  ParticipantReport,
  PlainTransportOptions,
} from './transport-script.js';

/** A thread or process that runs `runTransportParticipant`. */
export interface Participant {
  send(message: MessageToParticipant): void;
  /** Listeners of the plan under way; replaced by those of the next. */
  onMessage: (message: MessageFromParticipant) => void;
  onEnd: () => void;
  hasEnded: boolean;
}

/** Participants as threads of this process. `startFile` is built JavaScript. */
export function participantThreads(startFile: URL): () => Participant {
  return () => {
    const worker = new Worker(startFile);
    const participant = newParticipant((message) => {
      worker.postMessage(message);
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
    const participant = newParticipant((message) => {
      child.send(message);
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

function newParticipant(send: Participant['send']): Participant {
  const ignore = (): void => undefined;
  return { send, onMessage: ignore, onEnd: ignore, hasEnded: false };
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
  /** Applied to every address on its way through the rendezvous. */
  readonly changeAddress?: (address: string) => string;
}

/** [M] and [N]; undefined for a participant that ended without a report. */
export interface TeamReport {
  readonly attention: readonly (ParticipantReport | undefined)[];
  readonly expert: readonly (ParticipantReport | undefined)[];
}

/** Runs plans, each with as many participants as it has ranks, and keeps them for the next plan. */
export class TransportTeam {
  private readonly idle: Participant[] = [];

  constructor(private readonly start: () => Participant) {}

  async run(plan: TeamPlan): Promise<TeamReport> {
    const plans = participantPlans(plan);
    const participants = plans.map(() => this.take());
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
    const reports = await Promise.all(
      participants.map((participant, index) => {
        const own = plans[index];
        if (own === undefined) throw new Error('There is a plan for each participant.');
        return runOne(participant, own, (address) => {
          giveAddress(index, address);
        });
      }),
    );
    this.idle.push(...participants.filter(({ hasEnded }) => !hasEnded));
    return {
      attention: reports.slice(0, plan.attention.length),
      expert: reports.slice(plan.attention.length),
    };
  }

  async close(): Promise<void> {
    const running = this.idle.splice(0).filter(({ hasEnded }) => !hasEnded);
    await Promise.all(running.map(endOf));
  }

  private take(): Participant {
    for (;;) {
      const participant = this.idle.pop();
      if (participant === undefined) return this.start();
      if (!participant.hasEnded) return participant;
    }
  }
}

function runOne(
  participant: Participant,
  plan: ParticipantPlan,
  giveAddress: (address: string) => void,
): Promise<ParticipantReport | undefined> {
  return new Promise((resolve) => {
    participant.onEnd = () => {
      resolve(undefined);
    };
    participant.onMessage = (message) => {
      if (message.type === 'address') giveAddress(message.address);
      else resolve(message.report);
    };
    participant.send({ type: 'run', plan });
  });
}

function participantPlans(plan: TeamPlan): ParticipantPlan[] {
  const { transport, options, expertOptions, stopAfterMs, seed = 1 } = plan;
  const stop = stopAfterMs === undefined ? {} : { stopAfterMs };
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
