import type { WantedDeployment } from '@megascale/planner';

/** A deployment and a batch whose speed is predicted, then measured. */
export interface PredictCase {
  readonly name: string;
  readonly deployment: WantedDeployment;
  readonly batches: readonly number[];
}

/** Colocated and cut, m, M, N and links: what the profile measured only in part, or not at all. */
export const predictCases: readonly PredictCase[] = [
  { name: 'colocated', deployment: { colocated: true }, batches: [1, 8, 32] },
  {
    name: 'colocated on 2',
    deployment: { colocated: true, attentionWorkers: 2 },
    batches: [8, 32],
  },
  cut(1, 1, 1, [1, 8, 32]),
  cut(1, 1, 2, [8, 32]),
  cut(1, 1, 3, [8, 32]),
  cut(2, 1, 2, [8, 32]),
  cut(1, 2, 2, [8, 32]),
  cut(2, 2, 2, [8, 32]),
  cut(2, 2, 3, [32]),
  cut(1, 1, 2, [8, 32], { latencyUs: 500, gigabitsPerSecond: 10 }),
  cut(1, 1, 3, [32], { latencyUs: 2000, gigabitsPerSecond: 1 }),
];

function cut(
  attentionWorkers: number,
  expertWorkers: number,
  microBatches: number,
  batches: readonly number[],
  emulatedLink?: { readonly latencyUs: number; readonly gigabitsPerSecond: number },
): PredictCase {
  const link =
    emulatedLink === undefined
      ? ''
      : `, ${emulatedLink.latencyUs} µs, ${emulatedLink.gigabitsPerSecond} Gbit/s`;
  return {
    name: `${attentionWorkers} × ${expertWorkers}, m = ${microBatches}${link}`,
    deployment: {
      attentionWorkers,
      expertWorkers,
      microBatches,
      ...(emulatedLink === undefined ? {} : { emulatedLink }),
    },
    batches,
  };
}
