import type { EngineStats } from '@megascale/engine';
import { Counter, Gauge, type Registry } from 'prom-client';

type Figure = readonly [name: string, help: string, read: (stats: EngineStats) => number];

const gauges: readonly Figure[] = [
  ['requests_running', 'Sequences in the batch.', (s) => s.requestsRunning],
  ['requests_waiting', 'Sequences waiting for admission.', (s) => s.requestsWaiting],
  ['micro_batches', 'Micro-batches of a step, at most (m).', (s) => s.microBatches],
  ['kv_pages_total', 'KV pages of all attention workers.', (s) => s.kvPagesTotal],
  ['kv_pages_free', 'KV pages that no sequence holds.', (s) => s.kvPagesFree],
  [
    'expert_load_imbalance',
    "Busiest expert worker's rows over the mean, by recent traffic; 1 where it is not known.",
    (s) => s.experts?.imbalance?.rows ?? 1,
  ],
  ['kv_pages_cached', 'KV pages that a new request may take over.', (s) => s.kvPagesCached],
];

const totals: readonly Figure[] = [
  ['prompt_tokens_total', 'Prompt tokens of admitted sequences.', (s) => s.promptTokensTotal],
  [
    'cached_prompt_tokens_total',
    'Prompt tokens found in pages that other requests had filled.',
    (s) => s.cachedPromptTokensTotal,
  ],
  ['computed_tokens_total', 'Tokens that steps computed.', (s) => s.computedTokensTotal],
  [
    'policy_errors_total',
    'Steps that the scheduler policy failed to plan.',
    (s) => s.policyErrorsTotal,
  ],
  ['output_tokens_total', 'Output tokens.', (s) => s.outputTokensTotal],
  ['preemptions_total', 'Sequences that were preempted.', (s) => s.preemptionsTotal],
  ['expert_moves_total', 'Moves of experts by recent traffic.', (s) => s.experts?.movesTotal ?? 0],
  [
    'expert_moved_bytes_total',
    'Bytes of weights that those moves loaded.',
    (s) => s.experts?.movedBytesTotal ?? 0,
  ],
  ['steps_total', 'Steps of all attention workers.', (s) => s.stepsTotal],
];

const stepParts = [
  ['compute', (s: EngineStats) => s.stepTime.computeUs],
  ['wait', (s: EngineStats) => s.stepTime.waitUs],
  ['dispatch', (s: EngineStats) => s.stepTime.dispatchUs],
  ['sampling', (s: EngineStats) => s.stepTime.samplingUs],
  ['driving', (s: EngineStats) => s.stepTime.drivingUs],
] as const;

/** Copies the figures that the engine counts into metrics. */
export class EngineMetrics {
  readonly #gauges: readonly (readonly [Gauge, Figure[2]])[];
  readonly #totals: readonly (readonly [Counter, Figure[2]])[];
  readonly #ready: Gauge;
  readonly #stepSeconds: Counter<'part'>;

  constructor(registry: Registry) {
    const named = ([name, help]: Figure) => ({
      name: `megascale_${name}`,
      help,
      registers: [registry],
    });
    this.#gauges = gauges.map((figure) => [new Gauge(named(figure)), figure[2]]);
    this.#totals = totals.map((figure) => [new Counter(named(figure)), figure[2]]);
    this.#ready = new Gauge({
      name: 'megascale_ready',
      help: '1 while the engine takes requests, else 0.',
      registers: [registry],
    });
    this.#stepSeconds = new Counter({
      name: 'megascale_step_seconds_total',
      help: 'Where step time went, summed over attention workers.',
      labelNames: ['part'],
      registers: [registry],
    });
  }

  /** Sets the metrics. Without stats the last figures stay, and `megascale_ready` becomes 0. */
  update(stats: EngineStats | undefined): void {
    this.#ready.set(stats?.state === 'ready' ? 1 : 0);
    if (stats === undefined) return;
    for (const [gauge, read] of this.#gauges) gauge.set(read(stats));
    for (const [counter, read] of this.#totals) {
      counter.reset();
      counter.inc(read(stats));
    }
    this.#stepSeconds.reset();
    for (const [part, read] of stepParts) this.#stepSeconds.inc({ part }, read(stats) / 1e6);
  }
}
