import { alignColumns } from '../measure/report.js';
import type { AblationRow } from './ablation-row.js';
import { verdict, type Gains } from './gains.js';

export interface AblationResult {
  readonly model: string;
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly runs: number;
  readonly kvCapacityRatio: number;
  readonly capacityBatch: number;
  readonly rows: readonly AblationRow[];
  readonly gains: Gains;
}

const questions: Readonly<Record<AblationRow['question'], string>> = {
  baseline: 'baseline',
  cut: 'cut or not',
  'micro-batches': 'micro-batches',
  steps: 'joined steps',
  transport: 'transport',
  placement: 'placement',
  'kv-capacity': 'KV capacity',
};

export function ablationText(result: AblationResult): string {
  const cells = result.rows.map(
    ({ name, question, batch, tokensPerSecond, ratio, stepTimeRatio }) => [
      questions[question],
      name,
      String(batch),
      tokensPerSecond.median.toFixed(0),
      ratio.median.toFixed(2),
      `${ratio.min.toFixed(2)} … ${ratio.max.toFixed(2)}`,
      stepTimeRatio.toFixed(2),
      '',
    ],
  );
  const head = [
    'asks',
    'deployment',
    'sequences',
    'tokens/s',
    '× baseline',
    '(min … max)',
    'step time ×',
    '',
  ];
  return [
    `ablation of ${result.model}: ${String(result.promptTokens)} prompt and ${String(result.outputTokens)} output tokens, medians of ${String(result.runs)} runs in turns`,
    '',
    ...alignColumns([head, ...cells]),
    '',
    verdict(result.gains, result.batch, result.capacityBatch),
    `All rows have equal threads; all but those that ask for KV capacity equal KV memory. These have the memory of the baseline's workers: ${result.kvCapacityRatio.toFixed(2)} × the KV bytes.`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}
