import type { MachineDeployment } from '@megascale/planner';
import {
  MeasuredDeployment,
  type MeasureContext,
  type MeasuredRun,
  type RunShape,
} from '../measured-deployment.js';
import type { PaceProbe, ProbeReading } from '../pace-probe.js';

/** A run, and the probe's readings before and after it. */
export interface ProbedRun {
  readonly deployment: MachineDeployment;
  readonly shape: RunShape;
  readonly run: MeasuredRun;
  readonly around: readonly [ProbeReading, ProbeReading];
}

/** Runs in which others took more of the processors than this are repeated, so often at most. */
const foreignShareMax = 0.06;
const attemptsMax = 3;

export interface ProbedShapes {
  readonly shapes: readonly RunShape[];
  readonly rounds: number;
  /** Also asks the flight recorder. */
  readonly withNumbers?: boolean;
}

/** Each shape once a round: probe, run, probe, run, probe … */
export async function probedRuns(
  loaded: MeasuredDeployment,
  probe: PaceProbe,
  { shapes, rounds, withNumbers = false }: ProbedShapes,
): Promise<ProbedRun[]> {
  const runs: ProbedRun[] = [];
  let before = await probe.read();
  for (let round = 0; round < rounds; round += 1) {
    for (const shape of shapes) {
      const run = await quietRun(loaded, shape, withNumbers);
      const after = await probe.read();
      runs.push({ deployment: loaded.deployment, shape, run, around: [before, after] });
      before = after;
    }
  }
  return runs;
}

/** Loads a deployment for as long as `use` takes. */
export async function withDeployment<T>(
  context: MeasureContext,
  deployment: MachineDeployment,
  use: (loaded: MeasuredDeployment) => Promise<T>,
): Promise<T> {
  const loaded = await MeasuredDeployment.load(deployment, context);
  try {
    return await use(loaded);
  } finally {
    await loaded.close();
  }
}

/** The run, or of several the one that others disturbed least. */
async function quietRun(
  loaded: MeasuredDeployment,
  shape: RunShape,
  withNumbers: boolean,
): Promise<MeasuredRun> {
  let best = await loaded.run(shape, withNumbers);
  for (let attempt = 1; attempt < attemptsMax; attempt += 1) {
    if (best.foreignShare <= foreignShareMax) break;
    const run = await loaded.run(shape, withNumbers);
    if (run.foreignShare < best.foreignShare) best = run;
  }
  return best;
}
