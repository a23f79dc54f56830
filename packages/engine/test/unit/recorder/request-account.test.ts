import { sequenceId } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { WorkerAccounts, type WorkerAccount } from '../../../src/recorder/request-account.js';
import { noStepTimes } from '../../../src/recorder/step-clock.js';

const id = sequenceId(1);

function sumOf(account: WorkerAccount | undefined): number {
  if (account === undefined) throw new Error('There is no account.');
  const { queueUs, attentionUs, dispatchUs, expertsUs, combineUs, samplingUs } = account;
  const inSteps = attentionUs + dispatchUs + expertsUs + combineUs + samplingUs;
  return queueUs + inSteps + account.planningUs + account.pausedUs;
}

describe('the account of a sequence', () => {
  it.each([
    { name: 'before the step began', submittedUs: 40 },
    { name: 'while the loop was between two steps', submittedUs: 130 },
  ])('adds up to the time since it was submitted, $name', ({ submittedUs }) => {
    const accounts = new WorkerAccounts(4);
    accounts.open(id, submittedUs);
    const spent = { ...noStepTimes(), computeUs: 90, combineUs: 10, waitUs: 30, samplingUs: 5 };
    accounts.addStep([id], { startUs: 100, endUs: 300, spent });
    accounts.addStep([id], { startUs: 320, endUs: 500, spent });
    const account = accounts.close(id);
    expect(sumOf(account)).toBe(500 - submittedUs);
    expect(account).toMatchObject({
      queueUs: Math.max(0, 100 - submittedUs),
      attentionUs: 160,
      expertsUs: 60,
      steps: 2,
      pausedUs: 20,
    });
  });
});
