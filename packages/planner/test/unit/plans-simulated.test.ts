import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  searchPlans,
  simulatedDeployment,
  simulateSteps,
  type Candidate,
  type PlanRequest,
  type StepLoad,
} from '../../src/index.js';
import { anyRequest } from '../support/plan-requests.js';

/** What attention workers have when the batch is spread evenly over them. */
function evenLoads(batch: number, workers: number, contextTokens: number): StepLoad[] {
  return Array.from({ length: workers }, (_, rank) => {
    const tokens = Math.floor(batch / workers) + (rank < batch % workers ? 1 : 0);
    return { tokens, keysSeen: tokens * contextTokens };
  });
}

function simulated({ shape }: PlanRequest, { deployment, evaluation }: Candidate) {
  const { batch, contextTokens } = evaluation;
  const { instance, limits } = simulatedDeployment(shape, deployment);
  const loads = evenLoads(batch, instance.attentionWorkers, contextTokens);
  // The first step of joined ones waits for the beginning of the second: its end is no token after
  // another.
  const { stepUs } = simulateSteps({ instance, loads, steps: 4 });
  return { loads, limits, stepUs: stepUs.flatMap((own) => own.slice(1)) };
}

/**
 * Pipeline stages and micro-batches of colocated workers have an order of work that is not the
 * engine's.
 */
function canSimulate({ deployment }: Candidate): boolean {
  return (
    deployment.kind === 'disaggregated' ||
    (deployment.pipelineParallel === 1 && deployment.microBatchCount === 1)
  );
}

describe('every plan of the search, simulated', { timeout: 120_000 }, () => {
  it('keeps its SLO in every step, and its sequences in their pages', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    let plans = 0;
    fc.assert(
      fc.property(anyRequest, (asked) => {
        for (const candidate of searchPlans(asked).ranked.filter(canSimulate)) {
          const { loads, limits, stepUs } = simulated(asked, candidate);
          const { contextTokens } = candidate.evaluation;
          plans += 1;
          expect(Math.max(...stepUs)).toBeLessThanOrEqual(asked.slo.tpotMs * 1000 * nearly);
          const { kvPages, kvPageSize = 16 } = limits;
          for (const { tokens } of loads) {
            expect(tokens * contextTokens).toBeLessThanOrEqual((kvPages + 1) * kvPageSize);
          }
        }
      }),
      { numRuns: 25, seed },
    );
    expect(plans, `seed ${seed}`).toBeGreaterThan(20);
  });
});

const nearly = 1.0001;
