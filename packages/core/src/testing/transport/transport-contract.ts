import { afterAll, describe } from 'vitest';
import { contractTest, type ContractSkips } from '../contract-test.js';
import type { RunTeam } from './transport-case.js';
import { epochTests } from './transport-epoch-tests.js';
import { peerTests } from './transport-peer-tests.js';
import { lockstepTests, rowTests } from './transport-row-tests.js';
import { slotTests } from './transport-slot-tests.js';
import type { PlainTransportOptions } from './transport-script.js';
import { TransportTeam, type Participant } from './transport-team.js';

export interface TransportContractOptions {
  /** Title of the suite: 'shm between processes'. */
  readonly name: string;
  /** The transport's name, by which participants find it. */
  readonly transport: string;
  /**
   * `participantThreads` or `participantProcesses` of a file that calls `runTransportParticipant`.
   */
  readonly start: () => Participant;
  /** Options that every port has besides. */
  readonly options?: Partial<PlainTransportOptions>;
  readonly skip?: ContractSkips;
  /** Why the transport cannot be tested on this machine, if so. */
  readonly absent?: () => Promise<string | undefined>;
}

/**
 * What every transport must keep, as tests over real threads or processes. Attention participants
 * send random rows; experts answer with a formula of row, expert and layer, so that a row that went
 * astray shows.
 */
export function transportContract(options: TransportContractOptions): void {
  const { name, transport, start, skip, absent } = options;
  describe(`transport contract: ${name}`, () => {
    const team = new TransportTeam(start);
    afterAll(() => team.close());
    const test = contractTest(skip, absent);
    const run: RunTeam = (plan) =>
      team.run({ transport, ...plan, options: { ...plan.options, ...options.options } });

    describe('rows', () => {
      rowTests(test, run);
    });
    describe('lockstep', () => {
      lockstepTests(test, run);
    });
    describe('placement epochs', () => {
      epochTests(test, run);
    });
    describe('slots', () => {
      slotTests(test, run);
    });
    // These mostly wait.
    describe.concurrent('peers', () => {
      peerTests(test, run);
    });
  });
}
