import { deployOnCores, type WantedDeployment } from '@megascale/planner';
import type { MeasuredDeployment, MeasureContext, RunShape } from './measured-deployment.js';
import type { PaceProbe } from './pace-probe.js';
import { probedRuns, withDeployment, type ProbedRun } from './predict/probed-runs.js';

export interface ProfileRunsRequest {
  readonly context: MeasureContext;
  readonly cores: number;
  /** Colocated, with all threads: stays loaded, and is the probe too. */
  readonly resident: MeasuredDeployment;
  readonly probe: PaceProbe;
  /** Of each worker; absent: the cores, divided by a pool's workers. */
  readonly threads?: number | undefined;
  /** Over all deployments. */
  readonly rounds: number;
  readonly onProgress?: ((text: string) => void) | undefined;
}

const outputTokens = 10;
const promptTokens = 6;
const batches = [1, 2, 4, 8, 16, 32];
/** One batch with long contexts says what a key takes. */
const longContext = { batch: 4, promptTokens: 192 };
const handoverBatches = [2, 8, 24];
const handoverDeployments = [
  { attentionWorkers: 1, expertWorkers: 1, microBatches: 1 },
  { attentionWorkers: 1, expertWorkers: 1, microBatches: 2 },
  { attentionWorkers: 1, expertWorkers: 2, microBatches: 2 },
  { attentionWorkers: 2, expertWorkers: 1, microBatches: 2 },
  { attentionWorkers: 2, expertWorkers: 2, microBatches: 2 },
];

/**
 * Decode steps in every kind of pool, and in pools that hand over, with a probe between any two
 * runs.
 */
export async function measureProfileRuns(request: ProfileRunsRequest): Promise<ProbedRun[]> {
  const { context, resident, probe, rounds, onProgress } = request;
  const { batchMax, maxModelLen, sizes } = context;
  const shapesOf = (wanted: readonly number[]): RunShape[] =>
    wanted
      .filter((batch) => batch <= batchMax)
      .map((batch) => ({ batch, promptTokens, outputTokens }));
  onProgress?.('measuring: colocated');
  const long: RunShape = {
    batch: Math.min(longContext.batch, batchMax),
    promptTokens: Math.min(longContext.promptTokens, maxModelLen - outputTokens),
    outputTokens,
  };
  const runs = await probedRuns(resident, probe, { shapes: [...shapesOf(batches), long], rounds });
  const measure = async (wanted: WantedDeployment, shapes: readonly RunShape[]): Promise<void> => {
    const deployment = deployOnCores({ ...wanted, threads: request.threads }, request.cores);
    if (shapes.length === 0) return;
    onProgress?.(`measuring: ${nameOf(wanted)}`);
    runs.push(
      ...(await withDeployment(context, deployment, (loaded) =>
        probedRuns(loaded, probe, { shapes, rounds }),
      )),
    );
  };
  const pairs = shapesOf(batches).filter(({ batch }) => batch > 1);
  await measure({ colocated: true, attentionWorkers: 2 }, pairs);
  for (const { attentionWorkers, expertWorkers, microBatches } of handoverDeployments) {
    if (sizes.expertCount % expertWorkers !== 0) continue;
    const shapes = shapesOf(handoverBatches.filter((batch) => batch >= attentionWorkers));
    await measure({ attentionWorkers, expertWorkers, microBatches }, shapes);
  }
  return runs;
}

function nameOf({ colocated, attentionWorkers = 1, ...wanted }: WantedDeployment): string {
  return colocated === true
    ? `${attentionWorkers} colocated workers`
    : `${attentionWorkers} × ${wanted.expertWorkers ?? 1}, m = ${wanted.microBatches ?? 2}`;
}
