import { pipelineNumbers, type PipelineNumbers, type WorkerRecording } from '@megascale/engine';

/**
 * The pipeline's numbers of one stretch of time: what a flight recorder knows of other runs is left
 * out.
 */
export function numbersWithin(
  recordings: readonly WorkerRecording[],
  window: { readonly startUs: number; readonly endUs: number },
): PipelineNumbers {
  return pipelineNumbers(
    recordings.map((worker) => {
      const { recording } = worker;
      const kept = [...recording.kinds.keys()].filter(
        (index) =>
          (recording.startUs[index] ?? 0) >= window.startUs &&
          (recording.endUs[index] ?? Infinity) <= window.endUs,
      );
      const pick = (values: readonly number[]): number[] => kept.map((index) => values[index] ?? 0);
      return {
        ...worker,
        recording: {
          ...recording,
          kinds: pick(recording.kinds),
          startUs: pick(recording.startUs),
          endUs: pick(recording.endUs),
          layers: pick(recording.layers),
          microBatches: pick(recording.microBatches),
          sizes: pick(recording.sizes),
        },
      };
    }),
  );
}
