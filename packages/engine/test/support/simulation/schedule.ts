import fc from 'fast-check';

/** One request of a schedule. */
export interface SimulatedRequest {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly stopsAtZero: boolean;
  readonly arrivesUs: number;
  /** The attention worker that takes it, modulo their number. */
  readonly worker: number;
  /** After its arrival. */
  readonly leavesAfterUs: number | undefined;
  readonly priority: number;
}

export interface SimulatedFault {
  readonly type: 'stall' | 'loss';
  readonly role: 'attention' | 'expert';
  /** Modulo their number. */
  readonly rank: number;
  /** Before the rank's message of this number. */
  readonly message: number;
  readonly ms: number;
}

/** Experts move to a placement that is drawn from a seed. */
export interface SimulatedMove {
  /** Or when the move before it has ended. */
  readonly atUs: number;
  readonly seed: number;
  readonly bytesPerSecond: number;
}

/** Everything that one simulation depends on. Plain data: it can be printed and played again. */
export interface Schedule {
  /** Of the order in which ranks that are due at once go on, and of what each call takes. */
  readonly seed: number;
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
  readonly expertCount: number;
  readonly expertReplicas: number;
  readonly layerCount: number;
  readonly kvPageSize: number;
  /** Beyond what the longest sequence takes. */
  readonly kvPagesSpare: number;
  readonly microBatches: number;
  readonly chooseMicroBatches: boolean;
  readonly overlapSteps: boolean;
  readonly prefixSharing: boolean;
  readonly tokensPerMicroBatchMax: number;
  readonly maxNumBatchedTokens: number;
  readonly prefillChunkTokens: number;
  readonly maxNumSeqs: number;
  readonly policy: 'fcfs' | 'prefill-first' | 'slo-aware';
  readonly gather:
    | { readonly type: 'lockstep' }
    | { readonly type: 'layer' }
    | { readonly type: 'window'; readonly windowUs: number };
  readonly spinUs: number;
  readonly link: { readonly latencyUs: number; readonly jitterUs: number } | undefined;
  /** What a call takes, on average: [attention ranks], [expert ranks], from the first. */
  readonly attentionUs: readonly number[];
  readonly expertUs: readonly number[];
  readonly requests: readonly SimulatedRequest[];
  readonly faults: readonly SimulatedFault[];
  readonly moves: readonly SimulatedMove[];
  /** What loading one expert of one layer takes. */
  readonly loadUs: number;
}

export const promptTokensMax = 12;
export const outputTokensMax = 12;
export const peerTimeoutMs = 400;

const count = (min: number, max: number) => fc.integer({ min, max });
const tokens = (minLength: number, maxLength: number) =>
  fc.array(count(0, 60), { minLength, maxLength, size: 'max' });

/** Half of them begin alike. */
const prompts = fc.oneof(
  tokens(1, promptTokensMax),
  fc.tuple(count(1, promptTokensMax - 2), tokens(1, 3)).map(([shared, own]) =>
    Array.from({ length: shared }, (_, place) => place + 1)
      .concat(own)
      .slice(0, promptTokensMax),
  ),
);

const requests = fc.array(
  fc.record({
    prompt: prompts,
    maxTokens: fc.oneof(fc.constant(outputTokensMax), count(1, outputTokensMax)),
    stopsAtZero: fc.boolean(),
    arrivesUs: fc.oneof(fc.constant(0), count(0, 8000)),
    worker: fc.oneof(fc.constant(0), count(0, 2)),
    leavesAfterUs: fc.option(count(0, 20_000), { nil: undefined, freq: 4 }),
    priority: count(-1, 1),
  }),
  { minLength: 2, maxLength: 8, size: 'max' },
);

const role = fc.constantFrom('attention' as const, 'expert' as const);
const faults = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('stall' as const),
        role,
        rank: count(0, 2),
        message: count(0, 60),
        ms: fc.oneof({ weight: 4, arbitrary: count(1, 200) }, count(500, 2000)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('loss' as const),
        role,
        rank: count(0, 2),
        message: count(0, 60),
        ms: fc.constant(0),
      }),
    },
  ),
  { maxLength: 2 },
);

/** A millisecond between loads, or none. */
const moves = fc.array(
  fc.record({
    atUs: count(0, 10_000),
    seed: count(0, 0xffff),
    bytesPerSecond: fc.constantFrom(1_000_000, 1_000_000_000),
  }),
  { minLength: 1, maxLength: 3 },
);

const gather = fc.oneof(
  fc.constantFrom({ type: 'lockstep' as const }, { type: 'layer' as const }),
  fc.record({ type: fc.constant('window' as const), windowUs: fc.constantFrom(0, 50, 300) }),
);

const speeds = fc.array(fc.constantFrom(5, 40, 40, 200, 1000), { minLength: 3, maxLength: 3 });

/**
 * Every schedule that the harness draws from. Chosen small: three ranks of each kind, eight
 * requests, two dozen tokens.
 */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: count(0, 0x7fffffff),
  attentionWorkers: count(1, 3),
  expertWorkers: count(1, 3),
  expertCount: count(3, 6),
  expertReplicas: count(1, 2),
  layerCount: count(1, 3),
  kvPageSize: count(2, 5),
  kvPagesSpare: count(0, 2),
  microBatches: fc.oneof(count(1, 4), count(1, 8)),
  chooseMicroBatches: fc.boolean(),
  overlapSteps: fc.boolean(),
  prefixSharing: fc.boolean(),
  tokensPerMicroBatchMax: count(1, 9),
  maxNumBatchedTokens: count(1, 24),
  prefillChunkTokens: count(1, 12),
  maxNumSeqs: count(1, 6),
  policy: fc.constantFrom('fcfs', 'prefill-first', 'slo-aware'),
  gather,
  spinUs: fc.constantFrom(0, 0, 30),
  link: fc.option(fc.record({ latencyUs: count(0, 300), jitterUs: count(0, 300) }), {
    nil: undefined,
  }),
  attentionUs: speeds,
  expertUs: speeds,
  requests,
  faults: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: faults }),
  moves: fc.oneof(fc.constant([]), moves),
  loadUs: fc.constantFrom(1, 30, 3000),
});
