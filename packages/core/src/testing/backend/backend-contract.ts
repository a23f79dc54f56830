import { afterAll, describe } from 'vitest';
import type { BackendFactory, BackendOptions } from '../../spec/backend.js';
import { backendAnswers } from './backend-answers.js';
import { backendDoor } from './backend-door.js';
import { backendExpertRows } from './backend-expert-rows.js';
import { backendLifecycle } from './backend-lifecycle.js';
import { backendLawOne } from './backend-law-one.js';
import { backendMovingExperts } from './backend-moving-experts.js';
import { BackendUnderTest } from './backend-under-test.js';
import { contractTest, type ContractSkips } from '../contract-test.js';

export interface BackendContractOptions {
  /** For test titles: 'cpu avx2'. */
  readonly name: string;
  readonly factory: BackendFactory;
  readonly options?: BackendOptions;
  /** How far from `reference` this backend may be. State it in its documentation. */
  readonly bound: BackendBound;
  readonly skip?: ContractSkips;
}

/** Each is max |difference| / max |reference| over one output. */
export interface BackendBound {
  /** After all layers of a tiny model, every error of every op on the way. */
  readonly logits: number;
  /** After one run of the expert stage on the same rows. */
  readonly answers: number;
}

/**
 * What every backend must keep, as tests: it matches `reference` within its bound, a row's numbers
 * never depend on its company (to the bit), wrong shapes throw before any work, and closed things
 * refuse calls.
 *
 * The weights come from memory: `WeightSource.read` must serve where there is no file to map. On a
 * machine that cannot run the backend the tests are skipped with the reason its `probe` gives.
 */
export function backendContract(options: BackendContractOptions): void {
  describe(`backend contract: ${options.name}`, () => {
    const subject = new BackendUnderTest(options.factory, options.options);
    afterAll(() => {
      subject.close();
    });
    const test = contractTest(options.skip, () => subject.absent());
    backendAnswers(test, subject, options.bound);
    backendLawOne(test, subject);
    backendExpertRows(test, subject);
    backendDoor(test, subject);
    backendLifecycle(test, subject);
    backendMovingExperts(test, subject);
  });
}
