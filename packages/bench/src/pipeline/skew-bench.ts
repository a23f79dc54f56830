import type { LlmOptions } from '@megascale/engine';
import type { BenchReport, PipelineRequest } from '../suite.js';
import { alignColumns } from '../measure/report.js';
import { measureSteps } from './measure-steps.js';

interface SkewRow {
  readonly gather: string;
  readonly skewed: boolean;
  readonly tokensPerSecond: number;
  /** [attention workers] milliseconds. */
  readonly stepMsByRank: readonly number[];
}

const windowsUs = [0, 500, 2000] as const;
const shortTokens = 8;
const longTokens = 512;

/**
 * Two attention workers, one of which has a long context to attend to in every micro-batch, with
 * each gather policy. The null backend's attention half takes T_f on short contexts and 2 T_f with
 * the long one.
 */
export async function benchSkew(request: PipelineRequest, directory: string): Promise<BenchReport> {
  const stageUs = request.stageUs ?? 2000;
  const gathers: NonNullable<LlmOptions['gather']>[] = [
    { type: 'lockstep' },
    ...windowsUs.map((windowUs) => ({ type: 'window' as const, windowUs })),
  ];
  const rows: SkewRow[] = [];
  for (const skewed of [false, true]) {
    for (const gather of gathers) {
      request.signal?.throwIfAborted();
      const name = gather.type === 'window' ? `window=${String(gather.windowUs)}` : gather.type;
      request.onProgress?.(`${name}, ${skewed ? 'one long context' : 'equal contexts'}`);
      const steps = await measureSteps({
        directory,
        seed: request.seed,
        outputTokens: request.outputTokens,
        options: skewOptions(request, stageUs, gather),
        promptTokens: promptLengths(request, skewed),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      const stepMsByRank = steps.stepUsByRank.map((us) => us / 1000);
      rows.push({ gather: name, skewed, tokensPerSecond: steps.tokensPerSecond, stepMsByRank });
    }
  }
  const result = { benchmark: 'pipeline-skew', stageUs, rows };
  return { document: result, text: skewText(result) };
}

function skewOptions(
  { options, microBatchesMax }: PipelineRequest,
  stageUs: number,
  gather: NonNullable<LlmOptions['gather']>,
): LlmOptions {
  return {
    threads: 1,
    ...options,
    attentionWorkers: 2,
    backend: 'null',
    microBatches: Math.min(3, microBatchesMax),
    gather,
    backendSettings: {
      attendUs: stageUs,
      attendContextTokenUs: stageUs / longTokens,
      expertUs: stageUs,
    },
  };
}

/** As admission deals them out, in turn: the even ones to the first worker. */
function promptLengths({ batch, microBatchesMax }: PipelineRequest, skewed: boolean): number[] {
  const microBatches = Math.min(3, microBatchesMax);
  return Array.from({ length: 2 * microBatches * batch }, (_, index) =>
    skewed && index % 2 === 0 && index < 2 * microBatches ? longTokens : shortTokens,
  );
}

function skewText({ stageUs, rows }: { stageUs: number; rows: readonly SkewRow[] }): string {
  const cells = rows.map(({ gather, skewed, tokensPerSecond, stepMsByRank }) => [
    skewed ? 'one worker has long contexts' : 'equal contexts',
    gather,
    tokensPerSecond.toFixed(0),
    ...stepMsByRank.map((ms) => ms.toFixed(2)),
    '',
  ]);
  const columns = ['contexts', 'gather', 'tokens/s', 'step of rank 0 (ms)', 'of rank 1 (ms)', ''];
  return [
    `two attention workers, one expert worker on null: T_f = ${String(stageUs)} µs`,
    '',
    ...alignColumns([columns, ...cells]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}
