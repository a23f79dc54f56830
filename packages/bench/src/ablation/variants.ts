import { availableParallelism } from 'node:os';
import type { LlmOptions } from '@megascale/engine';

/** What a variant differs in from the one before it in its question. */
export type Question =
  'baseline' | 'cut' | 'micro-batches' | 'steps' | 'transport' | 'placement' | 'kv-capacity';

export interface Variant {
  readonly name: string;
  readonly question: Question;
  /** m */
  readonly microBatches: number;
  readonly options: LlmOptions;
  /** Sequences that decode together. */
  readonly batch: number;
}

export interface AblationShape {
  readonly options: LlmOptions;
  readonly batch: number;
  /**
   * What fits into the attention workers if every worker has as much memory as a colocated one with
   * `batch`.
   */
  readonly capacityBatch: number;
  readonly microBatchesMax: number;
  readonly transports: readonly string[];
}

/**
 * Every deployment of the ablation, at equal threads and, but for 'kv-capacity', equal KV memory.
 * The baseline is as many colocated workers as the cut deployment has workers in all, each with the
 * whole model and its part of the sequences.
 */
export function ablationVariants(shape: AblationShape): Variant[] {
  const { attentionWorkers = 1, expertWorkers = 1 } = shape.options;
  const workers = attentionWorkers + expertWorkers;
  const cores = availableParallelism();
  const threads = shape.options.threads ?? Math.max(1, Math.floor(cores / workers));
  const options = { ...shape.options, threads };
  return [
    ...baselines({ ...shape, options }, workers, threads),
    ...cutVariants({ ...shape, options }, expertWorkers),
  ];
}

function baselines({ options, batch }: AblationShape, workers: number, threads: number): Variant[] {
  const colocated = (count: number, each: number): LlmOptions => ({
    ...without(options, ['expertWorkers', 'gather', 'emulatedLink', 'combine']),
    colocated: true,
    attentionWorkers: count,
    microBatches: 1,
    threads: each,
  });
  const all = Math.min(threads * workers, availableParallelism());
  const common = { question: 'baseline', microBatches: 1, batch } as const;
  return [
    {
      ...common,
      name: `colocated, ${String(workers)} workers`,
      options: colocated(workers, threads),
    },
    { ...common, name: 'colocated, 1 worker with all threads', options: colocated(1, all) },
  ];
}

function cutVariants(shape: AblationShape, expertWorkers: number): Variant[] {
  const { batch, capacityBatch, microBatchesMax, transports } = shape;
  const [, ...otherTransports] = transports;
  const variant = (
    question: Question,
    name: string,
    microBatches: number,
    changes: LlmOptions = {},
  ): Variant => ({
    question,
    name,
    microBatches,
    options: { ...shape.options, colocated: false, microBatches, ...changes },
    batch: question === 'kv-capacity' ? capacityBatch : batch,
  });
  const m = Math.min(3, microBatchesMax);
  const counts = Array.from({ length: microBatchesMax - 1 }, (_, index) => index + 2);
  return [
    variant('cut', 'cut, m = 1', 1),
    ...counts.map((count) => variant('micro-batches', `cut, m = ${String(count)}`, count)),
    variant('steps', `m = ${String(m)}, steps apart`, m, { overlapSteps: false }),
    ...otherTransports.map((transport) =>
      variant('transport', `m = ${String(m)} over ${transport}`, m, { transport }),
    ),
    ...(expertWorkers > 1
      ? [
          variant('placement', `m = ${String(m)}, every expert on 2 workers`, m, {
            expertReplicas: 2,
          }),
        ]
      : []),
    ...[1, ...counts].map((count) =>
      variant('kv-capacity', `m = ${String(count)}, ${String(capacityBatch)} sequences`, count),
    ),
  ];
}

function without(options: LlmOptions, fields: readonly (keyof LlmOptions)[]): LlmOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([field]) => !fields.includes(field as keyof LlmOptions)),
  );
}
