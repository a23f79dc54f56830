import { fork, type ChildProcess } from 'node:child_process';
import type {
  MessageFromParticipant,
  MessageToParticipant,
  ParticipantPlan,
  ParticipantReport,
  PlainTransportOptions,
} from '@megascale/core/testing';
import type { KillState } from './kill-states.js';

const startFile = new URL('./killed-participant.mjs', import.meta.url);

/** A process that plays one worker after the other. */
export class Participant {
  private readonly child: ChildProcess = fork(startFile, { execArgv: ['--expose-gc'] });
  private onMessage: (message: MessageFromParticipant | undefined) => void = () => undefined;

  constructor() {
    this.child.on('message', (message) => {
      this.onMessage(message as MessageFromParticipant);
    });
    this.child.on('exit', () => {
      this.onMessage(undefined);
    });
  }

  get processId(): number {
    return this.child.pid ?? 0;
  }

  send(message: MessageToParticipant): void {
    this.child.send(message);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** What it reports of its plan; undefined when it ended. */
  report(onAddress: (address: string) => void): Promise<ParticipantReport | undefined> {
    return new Promise((resolve) => {
      this.onMessage = (message) => {
        if (message?.type === 'address') onAddress(message.address);
        else resolve(message?.report);
      };
    });
  }
}

export interface PairOptions {
  readonly transport: string;
  readonly options: PlainTransportOptions;
  /** Ends what no limit of the transport ends: the wait for a worker's address. */
  readonly stopAfterMs: number;
  /** Started already, to save time. */
  readonly victim?: Participant;
}

/** Lets a new worker die beside `survivor` as the state says; what the survivor then reports. */
export async function runKill(
  survivor: Participant,
  kill: KillState,
  { transport, options, stopAfterMs, victim = new Participant() }: PairOptions,
): Promise<ParticipantReport | undefined> {
  const common = { transport, rank: 0, seed: 1, options, stopAfterMs } as const;
  const plans: Record<KillState['victim'], ParticipantPlan> = {
    attention: { role: 'attention', ...common, actions: kill.attention },
    expert: { role: 'expert', ...common, actions: kill.expert },
  };
  const addresses: Partial<Record<KillState['victim'], string>> = {};
  const know = (role: KillState['victim']) => (address: string) => {
    addresses[role] = address;
    const { attention, expert } = addresses;
    if (attention === undefined || expert === undefined) return;
    const message = { type: 'addresses', attention: [attention], expert: [expert] } as const;
    if (kill.killedAt === 'addresses') victim.kill();
    else victim.send(message);
    survivor.send(message);
  };
  const other = kill.victim === 'attention' ? 'expert' : 'attention';
  const ended = victim.report(know(kill.victim));
  const report = survivor.report(know(other));
  survivor.send({ type: 'run', plan: plans[other] });
  if (kill.killedAt === 'start') victim.kill();
  else victim.send({ type: 'run', plan: plans[kill.victim] });
  try {
    if ((await ended) !== undefined) throw new Error('The victim did not die.');
    return await report;
  } finally {
    victim.kill();
  }
}
