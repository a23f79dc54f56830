import type { MachineProfile } from './machine-profile.js';
import { predictDecode, type DecodeWorkload, type MachineDeployment } from './predict-decode.js';

/**
 * What a run's flight recorder or its counters said, in microseconds; what is absent was not
 * measured.
 */
export interface MeasuredTimes {
  /** T_a of one micro-batch. */
  readonly attentionUs?: number | undefined;
  /** T_e of one run of the experts. */
  readonly expertUs?: number | undefined;
  /** Embedding, LM head and sampling of one micro-batch. */
  readonly edgeUs?: number | undefined;
  /** Per layer, besides T_a, T_e and the link. */
  readonly handoverUs?: number | undefined;
  readonly stepOverheadUs?: number | undefined;
}

export interface MeasuredRun {
  readonly deployment: MachineDeployment;
  readonly workload: DecodeWorkload;
  readonly times: MeasuredTimes;
  /** The machine's pace during the run, over the profile's; its times are divided by it. */
  readonly pace: number;
}

/** How far one run moves a profile: the whole way would take over what one run had of noise. */
const defaultWeight = 0.5;

/**
 * The profile moved towards what a run measured: each part of every pool that the run used is
 * scaled, as a whole, by the geometric share `weight` of measured over predicted. The shape of each
 * fit stays: one run is one point of it.
 */
export function recalibrate(
  profile: MachineProfile,
  { deployment, workload, times, pace }: MeasuredRun,
  weight = defaultWeight,
): MachineProfile {
  const predicted = predictDecode(profile, deployment, workload);
  const factor = (measured: number | undefined, expected: number): number =>
    measured === undefined || !(measured > 0) || !(expected > 0)
      ? 1
      : (measured / pace / expected) ** weight;
  const attention = factor(times.attentionUs, predicted.attentionUs);
  const expert = factor(times.expertUs, predicted.expertUs);
  const edge = factor(times.edgeUs, predicted.edgeUs);
  const overhead = factor(times.stepOverheadUs, predicted.stepOverheadUs);
  const handover = factor(times.handoverUs, predicted.handoverUs);
  const { attentionThreads, colocated } = deployment;
  const expertThreads = colocated ? attentionThreads : deployment.expertThreads;
  return {
    ...profile,
    pools: profile.pools.map((pool) => {
      const isAttention = pool.threads === attentionThreads;
      return {
        ...pool,
        attention: isAttention ? scaled(pool.attention, attention) : pool.attention,
        edge: isAttention ? scaled(pool.edge, edge) : pool.edge,
        expert: pool.threads === expertThreads ? scaled(pool.expert, expert) : pool.expert,
        stepOverheadUs: pool.stepOverheadUs * (isAttention ? overhead : 1),
        stepTokenUs: pool.stepTokenUs * (isAttention ? overhead : 1),
      };
    }),
    handovers: profile.handovers.map((each) =>
      each.attentionWorkers === deployment.attentionWorkers &&
      each.expertWorkers === deployment.expertWorkers
        ? scaled(each, handover)
        : each,
    ),
  };
}

/** Every time of a fit times `factor`; where it bends stays. */
function scaled<Fit extends object>(fit: Fit, factor: number): Fit {
  return Object.fromEntries(
    Object.entries(fit).map(([name, value]) => [
      name,
      name.endsWith('Us') ? (value as number) * factor : (value as unknown),
    ]),
  ) as Fit;
}
