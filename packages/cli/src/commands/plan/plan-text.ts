import {
  deploymentText,
  type Candidate,
  type PlanExplanation,
  type PlanFile,
  type PrefillPlan,
  type Roofline,
  type SearchContext,
} from '@megascale/planner';

interface PlanReport {
  readonly file: PlanFile;
  readonly explanation: PlanExplanation;
  readonly ranked: readonly Candidate[];
  readonly prefill: PrefillPlan | undefined;
  readonly priceUnit: string;
  readonly context: SearchContext;
}

/** The plan, its reasons and the next best, for people. */
export function planText(report: PlanReport): string {
  const { file, explanation, ranked, priceUnit, context } = report;
  const { predicted, serve, notes } = file;
  return [
    `Plan for ${file.model.name}, ${file.traffic.inputTokens} tokens in and ${file.traffic.outputTokens} out, ${file.slo.tpotMs} ms from token to token`,
    '',
    explanation.verdict.reason,
    `${predicted.batch} sequences at a time, ${predicted.tokensPerSecond.toFixed(0)} tokens/s, ${predicted.tpotMs.toFixed(1)} ms from token to token, on ${predicted.accelerators} accelerators for ${predicted.price.toFixed(2)} (${priceUnit}).`,
    ...explanation.bounds,
    ...halvesText(explanation),
    ...explanation.next.map(
      ({ change, throughputGain, scoreGain }) =>
        `With ${change}: ${percent(throughputGain)} tokens/s, ${percent(scoreGain)} per ${context.objective}.`,
    ),
    ...prefillText(report),
    '',
    ...table(ranked),
    '',
    `Serve     ${serveFlags(serve)}`,
    ...notes.map((note) => `Note      ${note}`),
    '',
  ].join('\n');
}

function halvesText({ halves }: PlanExplanation): readonly string[] {
  if (halves === undefined) return [];
  const { attention, expert, linearForms, hidesTransfers, microBatchesToHide } = halves;
  const { k1, k2, k3, k4 } = linearForms;
  return [
    `Apart: attention ${rooflineText(attention)}; experts ${rooflineText(expert)}; transfers are ${hidesTransfers ? 'hidden' : 'not all hidden'}${microBatchesToHide === undefined ? ', no m hides them' : `, m = ${microBatchesToHide} is the least that hides them`}.`,
    `T_a = ${k1.toFixed(3)} b_a + ${k2.toFixed(1)} µs, T_e = ${k3.toFixed(3)} b_e + ${k4.toFixed(1)} µs around this batch.`,
  ];
}

function rooflineText({ intensity, ridge, bound, share }: Roofline): string {
  return `${bound}-bound at ${(100 * share).toFixed(0)} % of the peak (${intensity.toFixed(0)} FLOP/B, ridge ${ridge.toFixed(0)})`;
}

function prefillText({ prefill, file }: PlanReport): readonly string[] {
  if (prefill === undefined) {
    return file.slo.ttftMs === undefined
      ? []
      : ['Prefill: no pool keeps the time to the first token.'];
  }
  const { pool, prompts, ttftMs, promptTokensPerSecond } = prefill;
  const requests = file.predicted.tokensPerSecond / Math.max(1, file.traffic.outputTokens);
  const instances = Math.ceil((requests * file.traffic.inputTokens) / promptTokensPerSecond);
  return [
    `Prefill: ${instances} instances of ${pool.tensorParallel * pool.workers} ${pool.accelerator.name}${pool.workers === 1 ? '' : ` in ${pool.workers} stages`} keep up with one decode instance, ${prompts} prompts together, first token after ${ttftMs.toFixed(0)} ms.`,
  ];
}

function table(ranked: readonly Candidate[]): readonly string[] {
  const head = [
    'deployment',
    'batch',
    'ms',
    'tokens/s',
    'per price',
    'per accelerator',
    'per watt',
  ];
  const rows = ranked.map(({ deployment, evaluation }) => [
    deploymentText(deployment),
    String(evaluation.batch),
    (evaluation.stepUs / 1000).toFixed(1),
    evaluation.tokensPerSecond.toFixed(0),
    evaluation.tokensPerSecondPerPrice.toPrecision(4),
    evaluation.tokensPerSecondPerAccelerator.toPrecision(4),
    evaluation.tokensPerSecondPerWatt.toPrecision(3),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  '),
  );
}

function serveFlags(serve: PlanFile['serve']): string {
  if (serve.colocated) return 'megascale serve MODEL --colocated';
  const replicas = serve.expertReplicas === 1 ? '' : ` --expert-replicas ${serve.expertReplicas}`;
  return `megascale serve MODEL --attention-workers ${serve.attentionWorkers} --expert-workers ${serve.expertWorkers}${replicas} --micro-batches ${serve.microBatches} --transport ${serve.transport}`;
}

function percent(gain: number): string {
  return `${gain >= 0 ? '+' : ''}${(100 * gain).toFixed(1)} %`;
}
