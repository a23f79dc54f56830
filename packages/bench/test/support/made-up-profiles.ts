import type { OpRecord } from '@megascale/core';
import type { StepRecord, WorkerProfile } from '@megascale/engine';

export function record(fields: Partial<OpRecord>): OpRecord {
  return {
    op: 'linear',
    layer: 0,
    microBatch: 0,
    startUs: 0,
    endUs: 0,
    weightBytes: 0,
    kvBytes: 0,
    flops: 0,
    ...fields,
  };
}

export function step(fields: Partial<StepRecord>): StepRecord {
  return {
    startUs: 0,
    endUs: 0,
    outputTokens: 2,
    tokens: 2,
    computeUs: 0,
    waitUs: 0,
    dispatchUs: 0,
    samplingUs: 0,
    ...fields,
  };
}

/** A worker with one stage. */
export function worker(
  role: WorkerProfile['role'],
  parts: { records?: OpRecord[]; recordsLost?: number; steps?: StepRecord[] },
): WorkerProfile {
  const { records = [], recordsLost = 0, steps = [] } = parts;
  const totals = { ops: [], weightBytes: 0, kvBytes: 0 };
  return {
    role,
    rank: 0,
    pid: role === 'attention' ? 11 : 22,
    stages: [{ stage: role, totals, records, recordsLost }],
    steps,
  };
}
