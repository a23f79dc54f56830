import { afterAll, describe } from 'vitest';
import type { BackendFactory, BackendOptions } from '../../spec/backend.js';
import { backendOutputs } from './backend-outputs.js';
import { backendValidation } from './backend-validation.js';
import { backendExpertRows } from './backend-expert-rows.js';
import { backendLifecycle } from './backend-lifecycle.js';
import { backendLawOne } from './backend-law-one.js';
import { backendMovingExperts } from './backend-moving-experts.js';
import { BackendUnderTest, type BackendBound } from './backend-under-test.js';
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

/**
 * What every backend must keep, as tests: it matches `reference` within its bound, a row's numbers
 * never depend on its batch (to the bit), wrong shapes throw before any work, and closed things
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
    backendOutputs(test, subject, options.bound);
    backendLawOne(test, subject);
    backendExpertRows(test, subject);
    backendValidation(test, subject);
    backendLifecycle(test, subject);
    backendMovingExperts(test, subject);
  });
}
