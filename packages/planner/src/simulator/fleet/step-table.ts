import type { ServingLimits } from '../serve/serving-run.js';
import { checkInstance, type SimulatedInstance } from '../simulated-instance.js';
import { simulateSteps, type StepLoad } from '../step/simulate-steps.js';

/** What requests are like, on average. */
export interface MeanRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Tokens of a prefill chunk, last chunks included. */
  readonly chunkTokens: number;
}

/**
 * How long a step of an instance takes, for d sequences that decode and p that are being prefilled:
 * fixedUs[p, d] + keyUs[p, d] × keys that the decoding ones see together. Measured on the op-by-op
 * simulator, and interpolated.
 */
export interface StepTable {
  /** [prefillsMax + 1, decodesMax + 1] */
  readonly fixedUs: Float64Array;
  readonly keyUs: Float64Array;
  readonly decodesMax: number;
  /** Sequences that can be prefilled in one step. */
  readonly prefillsMax: number;
  /** Tokens of the whole instance's KV pages. */
  readonly kvTokens: number;
  readonly prefillChunkTokens: number;
}

/** Steps that are simulated for one entry, and of those, the first ones that do not count. */
const steps = 5;
const settling = 2;

/** Measures the table of an instance. Throws ConfigError 'ERR_CONFIG_FIELD'. */
export function measureStepTable(
  instance: SimulatedInstance,
  limits: ServingLimits,
  mean: MeanRequest,
): StepTable {
  checkInstance(instance);
  const { kvPageSize = 16, maxNumBatchedTokens = 512, prefillChunkTokens = 256 } = limits;
  const maxNumSeqs = Math.min(limits.maxNumSeqs ?? 256, maxNumBatchedTokens);
  const workers = instance.attentionWorkers;
  const decodesMax = workers * maxNumSeqs;
  const perWorker = Math.max(1, Math.floor(maxNumBatchedTokens / prefillChunkTokens));
  const prefillsMax = workers * perWorker;
  const decodes = grid(decodesMax, [0, 1, workers]);
  const prefills = grid(prefillsMax, [0, 1]).filter((count) => count < 4 || isPowerOfTwo(count));
  if (!prefills.includes(prefillsMax)) prefills.push(prefillsMax);

  const table = {
    fixedUs: new Float64Array((prefillsMax + 1) * (decodesMax + 1)),
    keyUs: new Float64Array((prefillsMax + 1) * (decodesMax + 1)),
  };
  const measured = prefills.map((prefill) =>
    decodes.map((decode) => measureEntry(instance, { prefill, decode }, mean)),
  );
  for (let prefill = 0; prefill <= prefillsMax; prefill += 1) {
    const row = segment(prefills, prefill);
    for (let decode = 0; decode <= decodesMax; decode += 1) {
      const column = segment(decodes, decode);
      const at = prefill * (decodesMax + 1) + decode;
      const value = (field: 'fixedUs' | 'keyUs'): number => {
        const of = (i: number, j: number): number => measured[i]?.[j]?.[field] ?? 0;
        const low = mix(of(row.low, column.low), of(row.low, column.high), column.part);
        const high = mix(of(row.high, column.low), of(row.high, column.high), column.part);
        return mix(low, high, row.part);
      };
      table.fixedUs[at] = value('fixedUs');
      table.keyUs[at] = value('keyUs');
    }
  }
  const kvTokens = workers * limits.kvPages * kvPageSize;
  return { ...table, decodesMax, prefillsMax, kvTokens, prefillChunkTokens };
}

/** Around the contexts that requests have on average, between a half and one and a half of them. */
function measureEntry(
  instance: SimulatedInstance,
  load: { readonly prefill: number; readonly decode: number },
  mean: MeanRequest,
): { fixedUs: number; keyUs: number } {
  if (load.prefill + load.decode === 0) return { fixedUs: 0, keyUs: 0 };
  const context = mean.promptTokens + mean.outputTokens / 2;
  const [low, high] = [0.5 * context, 1.5 * context];
  const lowUs = stepUs(instance, load, mean, low);
  if (load.decode === 0) return { fixedUs: lowUs, keyUs: 0 };
  const keyUs = (stepUs(instance, load, mean, high) - lowUs) / (load.decode * (high - low));
  return { fixedUs: lowUs - keyUs * load.decode * low, keyUs };
}

/** A step's time in the long run, all workers alike as far as they can be. */
function stepUs(
  instance: SimulatedInstance,
  { prefill, decode }: { readonly prefill: number; readonly decode: number },
  { promptTokens, chunkTokens }: MeanRequest,
  context: number,
): number {
  const workers = instance.attentionWorkers;
  const share = (count: number, rank: number): number =>
    Math.floor(count / workers) + (rank < count % workers ? 1 : 0);
  const loads = Array.from({ length: workers }, (_, rank): StepLoad => {
    // Prefills on the workers with fewer decodes.
    const [decodes, chunks] = [share(decode, rank), share(prefill, workers - 1 - rank)];
    const chunkKeys = chunks * (promptTokens / 2);
    return {
      tokens: decodes + chunks * chunkTokens,
      keysSeen: decodes * context + chunkTokens * chunkKeys,
      keysRead: decodes * context + chunkKeys,
      outputRows: decodes + (chunks * chunkTokens) / promptTokens,
    };
  });
  const { stepUs: times } = simulateSteps({ instance, loads, steps });
  const busy = times.filter((each) => each.length === steps);
  const settled = busy.map(
    (each) => each.slice(settling).reduce((sum, us) => sum + us, 0) / (steps - settling),
  );
  return Math.max(...settled);
}

/** Few numbers, the denser the smaller: each at most a third larger than the one before. */
function grid(max: number, always: readonly number[]): number[] {
  const numbers = new Set(always.filter((number) => number <= max));
  for (let at = 1; at < max; at = Math.max(at + 1, Math.floor(at * 1.5))) numbers.add(at);
  numbers.add(max);
  return [...numbers].sort((a, b) => a - b);
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}

function segment(numbers: readonly number[], value: number) {
  const high = numbers.findIndex((number) => number >= value);
  const low = Math.max(0, high - 1);
  const [from = 0, to = 0] = [numbers[low], numbers[high]];
  return { low, high, part: to > from ? (value - from) / (to - from) : 0 };
}

function mix(low: number, high: number, part: number): number {
  return low + (high - low) * part;
}
