import { fork, type ChildProcess } from 'node:child_process';
import {
  endOfRank,
  type MessageFromParticipant,
  type MessageToParticipant,
  type ParticipantPlan,
  type ParticipantReport,
  type PlainTransportOptions,
} from '@megascale/core/testing';
import type { KillState } from './kill-states.js';

const startFile = new URL('./killed-participant.mjs', import.meta.url);

interface ProgressListener {
  address(address: string): void;
  opened(): void;
  signal(event: string): void;
}

/** A process that plays one worker after the other. */
export class Participant {
  readonly #child: ChildProcess = fork(startFile, { execArgv: ['--expose-gc'] });
  /** A signal or exit code; undefined while it runs. */
  endedBy: string | undefined;
  #onMessage: (message: MessageFromParticipant | undefined) => void = () => undefined;

  constructor() {
    this.#child.on('message', (message) => {
      this.#onMessage(message as MessageFromParticipant);
    });
    this.#child.on('exit', (code, signal) => {
      this.endedBy = signal ?? `exit code ${code}`;
      this.#onMessage(undefined);
    });
  }

  get processId(): number {
    return this.#child.pid ?? 0;
  }

  send(message: MessageToParticipant): void {
    // One that was killed counts as connected until that is noticed: whether it still reads says
    // its exit, not this.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** What it reports of its plan; undefined when it ended. */
  report(on: ProgressListener): Promise<ParticipantReport | undefined> {
    return new Promise((resolve) => {
      this.#onMessage = (message) => {
        if (message?.type === 'address') on.address(message.address);
        else if (message?.type === 'opened') on.opened();
        else if (message?.type === 'signal') on.signal(message.event);
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
  readonly victim: Participant;
  /** Once both act. */
  readonly meanwhile?: () => Promise<void>;
}

/** Lets `victim` die beside `survivor` as the state says; what the survivor then reports. */
export async function runKill(
  survivor: Participant,
  kill: KillState,
  { transport, options, stopAfterMs, victim, meanwhile }: PairOptions,
): Promise<ParticipantReport | undefined> {
  const common = { transport, rank: 0, seed: 1, options, stopAfterMs } as const;
  const plans: Record<KillState['victim'], ParticipantPlan> = {
    attention: { role: 'attention', ...common, actions: kill.attention },
    expert: { role: 'expert', ...common, actions: kill.expert },
  };
  const other = kill.victim === 'attention' ? 'expert' : 'attention';
  const sides = { [kill.victim]: victim, [other]: survivor };
  const addresses: Partial<Record<string, string>> = {};
  const opened = new Set<string>();
  const tellBoth = (event: string): void => {
    for (const side of Object.values(sides)) side.send({ type: 'event', event });
  };
  const listen = (role: string): ProgressListener => ({
    address: (address) => {
      addresses[role] = address;
      const { attention, expert } = addresses;
      if (attention === undefined || expert === undefined) return;
      if (kill.killedAt === 'addresses') victim.kill();
      const message = { type: 'addresses', attention: [attention], expert: [expert] } as const;
      for (const side of Object.values(sides)) side.send(message);
    },
    opened: () => {
      opened.add(role);
      if (opened.size < 2) return;
      for (const side of Object.values(sides)) side.send({ type: 'go' });
      void meanwhile?.();
    },
    signal: tellBoth,
  });
  const ended = victim.report(listen(kill.victim)).finally(() => {
    survivor.send({ type: 'go' });
    tellBoth(endOfRank(kill.victim, 0));
  });
  // A survivor that could not open leaves the victim waiting.
  const report = survivor.report(listen(other)).finally(() => {
    if (!opened.has(other)) victim.kill();
  });
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
