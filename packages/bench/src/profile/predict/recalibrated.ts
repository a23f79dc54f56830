import { medianOf, recalibrate, type MachineProfile } from '@megascale/planner';
import type { ProbeReading } from '../pace-probe.js';
import { paceOf } from '../pace-probe.js';
import { comparePredictions, contextTokens, type CaseRuns } from './predict-bench.js';
import { summaryOf, type ErrorSummary } from './predict-report.js';
import type { ProbedRun } from './probed-runs.js';

/** What recalibrating gains on runs that it did not see. */
export interface Recalibrated {
  readonly profile: MachineProfile;
  /** Runs that moved the profile. */
  readonly learntFrom: number;
  /** Of the other runs. */
  readonly before: ErrorSummary;
  readonly after: ErrorSummary;
}

/**
 * Every other case moves the profile; the ones between are predicted with the old one and with the
 * new one. Undefined for one case.
 */
export function recalibrated(
  profile: MachineProfile,
  reference: ProbeReading,
  cases: readonly CaseRuns[],
): Recalibrated | undefined {
  const seen = cases.filter((_, index) => index % 2 === 0);
  const others = cases.filter((_, index) => index % 2 === 1);
  if (others.length === 0) return undefined;
  const runs = seen.flatMap((each) => each.runs);
  const better = runs.reduce((current, run) => moved(current, reference, run), profile);
  return {
    profile: better,
    learntFrom: runs.length,
    before: summaryOf(comparePredictions(profile, reference, others)),
    after: summaryOf(comparePredictions(better, reference, others)),
  };
}

/** A little for each run: together they move it most of the way. */
const weight = 0.1;

function moved(
  profile: MachineProfile,
  reference: ProbeReading,
  probed: ProbedRun,
): MachineProfile {
  const { deployment, shape, run, around } = probed;
  const { attentionUs, expertUs } = run.numbers ?? {};
  const edgeUs = medianOf(run.edge.map(({ us }) => us));
  return recalibrate(
    profile,
    {
      deployment,
      workload: { batch: shape.batch, contextTokens },
      times: {
        attentionUs,
        expertUs,
        edgeUs,
        stepOverheadUs: run.stepOverheadUs,
        ...(deployment.colocated ? {} : { handoverUs: run.handoverUs }),
      },
      pace: paceOf(around, reference),
    },
    weight,
  );
}
