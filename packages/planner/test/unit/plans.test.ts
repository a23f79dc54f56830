import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attentionWeightBytes, expertWeightBytes } from '../../src/model/model-shape.js';
import {
  evaluateDecode,
  explainPlan,
  makePlanFile,
  parsePlanFile,
  searchContext,
  searchPlans,
  type Accelerator,
  type Candidate,
  type Deployment,
  type ModelShape,
  type PlanRequest,
} from '../../src/index.js';
import { withLargestBatch } from '../../src/search/with-largest-batch.js';
import { anyRequest, kind, request } from '../support/plan-requests.js';

const paperKinds = ['L20', 'H800', 'A800', 'H20', 'L40S'].map(kind);

function answer(model: string, kinds: readonly Accelerator[], change?: Partial<PlanRequest>) {
  const asked = request(model, kinds, change);
  const result = searchPlans(asked);
  return { result, ...explainPlan(result, searchContext(asked)) };
}

describe('hardware choice', () => {
  it.each(['dbrx', 'scaled-moe', 'mixtral-8x7b'])(
    'of the paper’s five kinds, %s gets H20 for attention and L40S for experts',
    (model) => {
      const { chosen } = searchPlans(request(model, paperKinds));
      expect(namesOf(chosen)).toEqual(['H20', 'L40S']);
    },
  );

  it('takes other kinds when the prices are others: no rule names them', () => {
    const dearer = paperKinds.map((one) => (one.name === 'H20' ? { ...one, price: 8 } : one));
    expect(namesOf(searchPlans(request('dbrx', dearer)).chosen)).not.toContain('H20');
  });
});

describe('honesty', () => {
  it('a fine-grained sparse model on H800 is colocated, because the network bounds the expert pool', () => {
    const { verdict } = answer('deepseek-v3', [kind('H800')]);
    expect(verdict.answer).toBe('colocated');
    expect(verdict.cause).toBe('network');
    expect(verdict.gain).toBeLessThan(0.8);
  });

  it('more expert accelerators do not help there: the dead zone', () => {
    const { result } = answer('deepseek-v3', [kind('H800')]);
    expect(result.disaggregated?.evaluation.times.transferTimeUs).toBeGreaterThan(
      result.disaggregated?.evaluation.times.expertTimeUs ?? Infinity,
    );
  });

  it('on a rack with one scale-up domain both give about the same, and colocated is the answer', () => {
    const { verdict } = answer('deepseek-v3', [kind('GB200')], { objective: 'accelerator' });
    expect(verdict.answer).toBe('colocated');
    expect(verdict.cause).toBe('equal');
    expect(verdict.gain).toBeGreaterThan(0.9);
  });

  it('slow links between small accelerators do not carry rows', () => {
    const { verdict } = answer('qwen3-30b-a3b', [kind('RTX-3080')], {
      limits: { acceleratorsMax: 50 },
    });
    expect(verdict).toMatchObject({ answer: 'colocated', cause: 'network' });
  });

  it('says when nothing fits', () => {
    const { verdict } = answer('deepseek-v3', [kind('RTX-3080')], {
      limits: { acceleratorsMax: 8 },
    });
    expect(verdict.answer).toBe('impossible');
  });
});

/** A busy machine takes its time for hundreds of searches. */
describe('every plan', { timeout: 120_000 }, () => {
  it('keeps its memory and its SLO, counted anew', () => {
    fc.assert(
      fc.property(anyRequest, (asked) => {
        for (const candidate of searchPlans(asked).ranked) {
          const { deployment, evaluation } = candidate;
          const contextTokens = asked.traffic.inputTokens + asked.traffic.outputTokens / 2;
          const again = evaluateDecode(asked.shape, deployment, {
            batch: evaluation.batch,
            contextTokens,
          });
          expect(again.stepUs).toBeLessThanOrEqual(asked.slo.tpotMs * 1000);
          expect(bytesBeyondMemory(asked.shape, candidate, contextTokens)).toBeLessThanOrEqual(0);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('gives no less when the SLO is longer', () => {
    fc.assert(
      fc.property(anyRequest, fc.double({ min: 1, max: 4, noNaN: true }), (asked, factor) => {
        const longer = { ...asked, slo: { tpotMs: asked.slo.tpotMs * factor } };
        for (const { deployment, score } of searchPlans(asked).ranked) {
          const again = withLargestBatch(deployment, searchContext(longer));
          expect(again?.score).toBeGreaterThanOrEqual(score * exactly);
        }
        expect(scoreOf(longer)).toBeGreaterThanOrEqual(scoreOf(asked) * nearly);
      }),
      { numRuns: 15 },
    );
  });

  it('gives no less when memory, network and scale-up links are faster', () => {
    fc.assert(
      fc.property(anyRequest, fc.double({ min: 1, max: 4, noNaN: true }), (asked, factor) => {
        const faster = {
          ...asked,
          attention: asked.attention.map((one) => withBandwidth(one, factor)),
          expert: asked.expert.map((one) => withBandwidth(one, factor)),
        };
        for (const { deployment, score } of searchPlans(asked).ranked) {
          const again = withLargestBatch(onFaster(deployment, factor), searchContext(faster));
          expect(again?.score).toBeGreaterThanOrEqual(score * exactly);
        }
        expect(scoreOf(faster)).toBeGreaterThanOrEqual(scoreOf(asked) * nearly);
      }),
      { numRuns: 15 },
    );
  });

  it('stays the same when all prices are in another unit', () => {
    fc.assert(
      fc.property(anyRequest, fc.constantFrom(0.25, 2, 1024), (asked, unit) => {
        const priced = (one: Accelerator): Accelerator => ({ ...one, price: one.price * unit });
        const inUnit = {
          ...asked,
          attention: asked.attention.map(priced),
          expert: asked.expert.map(priced),
        };
        const here = searchPlans(asked);
        const there = searchPlans(inUnit);
        expect(there.chosen?.evaluation.batch).toBe(here.chosen?.evaluation.batch);
        expect(there.chosen?.evaluation.tokensPerSecond).toBe(
          here.chosen?.evaluation.tokensPerSecond,
        );
        expect((there.chosen?.score ?? 0) * unit).toBeCloseTo(here.chosen?.score ?? 0, 9);
      }),
      { numRuns: 15 },
    );
  });

  it('survives being written and read', () => {
    fc.assert(
      fc.property(anyRequest, (asked) => {
        const result = searchPlans(asked);
        if (result.chosen === undefined) return;
        const explanation = explainPlan(result, searchContext(asked));
        const file = makePlanFile({ ...asked, candidate: result.chosen, explanation });
        expect(parsePlanFile(JSON.parse(JSON.stringify(file)))).toEqual(file);
      }),
      { numRuns: 15 },
    );
  });
});

it('refuses a plan file with a wrong field by its path', () => {
  expect(() => parsePlanFile({ kind: 'megascale-plan', version: 2 }, 'p.json')).toThrow(
    /p\.json, field "version"/,
  );
});

/** For one deployment it is a law, but for rounding. */
const exactly = 1 - 1e-9;
/** The search climbs to n_a in strides and may end beside the best. */
const nearly = 0.95;

function onFaster(deployment: Deployment, factor: number): Deployment {
  const faster = <Any extends { readonly accelerator: Accelerator }>(pool: Any): Any => ({
    ...pool,
    accelerator: withBandwidth(pool.accelerator, factor),
  });
  return deployment.kind === 'colocated'
    ? { ...deployment, pool: faster(deployment.pool) }
    : {
        ...deployment,
        attention: faster(deployment.attention),
        expert: faster(deployment.expert),
      };
}

function scoreOf(asked: PlanRequest): number {
  const { disaggregated, colocated } = searchPlans(asked);
  return Math.max(disaggregated?.score ?? 0, colocated?.score ?? 0);
}

function withBandwidth(one: Accelerator, factor: number): Accelerator {
  const faster = <Link extends { readonly gigabytesPerSecond: number }>(link: Link): Link => ({
    ...link,
    gigabytesPerSecond: link.gigabytesPerSecond * factor,
  });
  return {
    ...one,
    memoryGigabytesPerSecond: one.memoryGigabytesPerSecond * factor,
    scaleUp: faster(one.scaleUp),
    network: faster(one.network),
  };
}

function namesOf(candidate: Candidate | undefined): readonly string[] {
  const deployment = candidate?.deployment;
  if (deployment === undefined) return [];
  return deployment.kind === 'colocated'
    ? [deployment.pool.accelerator.name]
    : [deployment.attention.accelerator.name, deployment.expert.accelerator.name];
}

/**
 * Counted from the shape, not by the evaluation: the fullest worker's bytes over nine tenths of its
 * memory.
 */
function bytesBeyondMemory(
  shape: ModelShape,
  { deployment, evaluation }: Candidate,
  contextTokens: number,
): number {
  const memory = ({
    accelerator,
    tensorParallel,
  }: {
    accelerator: Accelerator;
    tensorParallel: number;
  }) => accelerator.memoryGigabytes * 1e9 * tensorParallel * 0.9;
  const kv = evaluation.batch * contextTokens * shape.kvBytesPerToken;
  if (deployment.kind === 'disaggregated') {
    const { attention, expert } = deployment;
    return Math.max(
      attentionWeightBytes(shape) + kv / attention.workers - memory(attention),
      expert.expertsPerWorker * expertWeightBytes(shape) - memory(expert),
      shape.expertCount * expert.replicas - expert.expertsPerWorker * expert.workers,
    );
  }
  const { pool, parallelism } = deployment;
  if (parallelism === 'tensor') {
    const weights = attentionWeightBytes(shape) + shape.expertCount * expertWeightBytes(shape);
    return (weights + kv) / pool.workers - memory(pool);
  }
  const experts = Math.ceil(shape.expertCount / pool.workers);
  return (
    attentionWeightBytes(shape) +
    experts * expertWeightBytes(shape) +
    kv / pool.workers -
    memory(pool)
  );
}
