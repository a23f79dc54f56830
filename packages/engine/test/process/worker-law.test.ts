import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, type GenerateOptions, type LlmOptions } from '../../dist/index.js';
import { randomQwen3 } from '../support/random-checkpoint.js';
import { randomPlacement } from '../support/random-placement.js';

/**
 * Law 1 on real workers: schedules that are drawn, several on each deployment that is drawn.
 *
 * MEGASCALE_WORKER_SCHEDULES=300 npx vitest run packages/engine/test/process/worker-law.test.ts
 * more of them MEGASCALE_SEED=… MEGASCALE_PATH=…
 * again, as a failure printed them
 */
const { MEGASCALE_WORKER_SCHEDULES, MEGASCALE_SEED, MEGASCALE_PATH } = process.env;
const schedulesEach = 10;
const runs = Math.ceil(Number(MEGASCALE_WORKER_SCHEDULES ?? 20) / schedulesEach);

const directory = randomQwen3();
const vocabSize = 512;

interface DrawnRequest {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
  readonly arrivesMs: number;
  /** The client leaves once it has so many tokens. */
  readonly leavesAt: number | undefined;
}

const count = (min: number, max: number) => fc.integer({ min, max });
const token = count(5, vocabSize - 1);

/** Half of them begin alike. */
const prompts = fc.oneof(
  fc.array(token, { minLength: 1, maxLength: 90, size: 'max' }),
  fc
    .tuple(count(1, 80), fc.array(token, { minLength: 1, maxLength: 8 }))
    .map(([shared, own]) =>
      Array.from({ length: shared }, (_, place) => 5 + ((place * 37) % 500)).concat(own),
    ),
);

const request: fc.Arbitrary<DrawnRequest> = fc.record({
  prompt: prompts,
  options: fc
    .record({ maxTokens: count(1, 24), seed: count(0, 0xffff), greedy: fc.boolean() })
    .map(({ maxTokens, seed, greedy }) => ({
      maxTokens,
      ignoreEos: true,
      ...(greedy ? { temperature: 0 } : { temperature: 0.9, topK: 50, topP: 0.95, seed }),
    })),
  arrivesMs: fc.oneof(fc.constant(0), count(0, 40)),
  leavesAt: fc.option(count(0, 20), { nil: undefined, freq: 4 }),
});

const schedule = fc.record({
  requests: fc.array(request, { minLength: 1, maxLength: 10, size: 'max' }),
  /** Seeds of placements that experts move to meanwhile. */
  moves: fc.array(count(0, 0xffff), { maxLength: 2 }),
});

const deployments: fc.Arbitrary<LlmOptions> = fc
  .record({
    attentionWorkers: count(1, 2),
    expertWorkers: count(1, 3),
    expertReplicas: count(1, 2),
    microBatches: fc.oneof(count(1, 4), fc.constant('auto' as const)),
    overlapSteps: fc.boolean(),
    prefixSharing: fc.boolean(),
    policy: fc.constantFrom('fcfs', 'prefill-first', 'slo-aware'),
    prefillChunkTokens: fc.constantFrom(1, 7, 33, 256),
    maxNumBatchedTokens: fc.constantFrom(8, 40, 512),
    kvPages: fc.constantFrom(9, 14, 200),
    emulatedLink: fc.option(fc.record({ latencyUs: count(0, 200), jitterUs: count(0, 200) }), {
      nil: undefined,
    }),
    gather: fc.constantFrom(
      { type: 'lockstep' as const },
      { type: 'layer' as const },
      { type: 'window' as const, windowUs: 200 },
    ),
  })
  .map(({ emulatedLink, expertReplicas, ...rest }) => ({
    ...rest,
    threads: 1,
    kvPageSize: 16,
    maxModelLen: 128,
    expertReplicas: Math.min(expertReplicas, rest.expertWorkers),
    ...(emulatedLink === undefined ? {} : { emulatedLink }),
  }));

/** The tokens that the client has seen, and how the answer ended. */
async function ask(llm: LLM, drawn: DrawnRequest): Promise<{ tokens: number[]; ends: string[] }> {
  const { prompt, options, arrivesMs, leavesAt } = drawn;
  await new Promise((resolve) => setTimeout(resolve, arrivesMs));
  const tokens: number[] = [];
  const ends: string[] = [];
  for await (const piece of llm.generate(prompt, options)) {
    tokens.push(...piece.tokens.map(({ id }) => id));
    if (piece.finishReason !== undefined) ends.push(piece.finishReason);
    if (leavesAt !== undefined && tokens.length >= leavesAt) break;
  }
  return { tokens, ends };
}

async function moveAll(llm: LLM, seeds: readonly number[], workers: number): Promise<void> {
  const { placement } = llm.placement();
  const sizes = { layerCount: placement.length, expertCount: placement[0]?.length ?? 0 };
  for (const seed of seeds) await llm.movePlacement(randomPlacement(sizes, seed, workers));
}

/** Workers report once they are idle again. */
async function allPagesBack(llm: LLM): Promise<boolean> {
  for (let look = 0; look < 1000; look += 1) {
    const { requestsRunning, kvPagesFree, kvPagesTotal } = await llm.stats();
    if (requestsRunning === 0 && kvPagesFree === kvPagesTotal) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

describe('drawn schedules on real workers', () => {
  let alone: LLM;
  beforeAll(async () => {
    alone = await LLM.load(directory, {
      colocated: true,
      microBatches: 1,
      threads: 1,
      prefixSharing: false,
      maxModelLen: 128,
    });
  });
  afterAll(() => alone.close());

  it(
    'change no token, end every request once, and give every page back',
    async () => {
      const seen = {
        deployments: 0,
        schedules: 0,
        requests: 0,
        tokens: 0,
        moves: 0,
        preemptions: 0,
      };
      const drawn = fc.tuple(
        deployments,
        fc.array(schedule, { minLength: schedulesEach, maxLength: schedulesEach }),
      );
      await fc.assert(
        fc.asyncProperty(drawn, async ([deployment, schedules]) => {
          const llm = await LLM.load(directory, deployment);
          try {
            for (const { requests, moves } of schedules) {
              const moving = moveAll(llm, moves, deployment.expertWorkers ?? 1);
              const answers = await Promise.all(requests.map((one) => ask(llm, one)));
              await moving;
              for (const [index, { tokens, ends }] of answers.entries()) {
                const one = requests[index];
                if (one === undefined) continue;
                const expected = await ask(alone, { ...one, arrivesMs: 0, leavesAt: undefined });
                const whole = tokens.length === expected.tokens.length;
                expect(tokens).toEqual(expected.tokens.slice(0, tokens.length));
                if (one.leavesAt === undefined) {
                  expect([whole, ends]).toEqual([true, ['length']]);
                } else if (!whole) expect(ends).toEqual([]);
                seen.tokens += tokens.length;
              }
              expect(await allPagesBack(llm)).toBe(true);
              seen.schedules += 1;
              seen.requests += requests.length;
              seen.moves += moves.length;
            }
            seen.preemptions += (await llm.stats()).preemptionsTotal;
            seen.deployments += 1;
          } finally {
            await llm.close();
          }
        }),
        {
          numRuns: runs,
          endOnFailure: true,
          ...(MEGASCALE_SEED === undefined ? {} : { seed: Number(MEGASCALE_SEED) }),
          ...(MEGASCALE_PATH === undefined ? {} : { path: MEGASCALE_PATH }),
        },
      );
      if (runs > 2) console.info('on real workers', seen);
    },
    120_000 + runs * 60_000,
  );
});
