import type { OpRecord } from '@megascale/core';
import type { StepRecord, WorkerProfile } from '@megascale/engine';
import { isWithin } from './decode-window.js';

/** What the machine can do, for shares. */
export interface MachineLimits {
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
}

/** One kind of op, or one kind of time that is no op, in one pool; per step and worker. */
export interface OpRow {
  readonly pool: 'attention' | 'expert';
  readonly op: string;
  readonly calls: number;
  readonly bytes: number;
  readonly flops: number;
  readonly timeUs: number;
  /** Of the wall time; one pool's rows add up to 1. */
  readonly shareOfTime: number;
  /**
   * Bytes over time and measured bandwidth, or FLOPs over time and measured peak: the larger. Null
   * for what is no op.
   */
  readonly shareOfBound: number | null;
  readonly boundBy: 'bandwidth' | 'peak' | null;
}

export interface ProfiledTime {
  readonly startUs: number;
  readonly endUs: number;
  readonly steps: number;
}

/**
 * Where the time of a window went: every op, and what is left of the wall time under its own name,
 * so that each pool's rows add up to the wall time.
 */
export function opTable(
  profiles: readonly WorkerProfile[],
  window: ProfiledTime,
  limits: MachineLimits,
): OpRow[] {
  return (['attention', 'expert'] as const).flatMap((pool) => {
    const workers = profiles.filter(({ role }) => role === pool);
    if (workers.length === 0) return [];
    const parts = workers.length * Math.max(1, window.steps);
    const records = workers.flatMap(({ stages }) =>
      stages.flatMap((stage) => stage.records.filter(isWithin(window))),
    );
    const ops = [...groupByOp(records)].map(([op, group]) =>
      rowOf(pool, op, group, { parts, window, limits }),
    );
    const rest = pool === 'attention' ? attentionRest(workers, window, ops, parts) : [];
    const explained = [...ops, ...rest].reduce((sum, { timeUs }) => sum + timeUs, 0);
    const wallUs = wallOf(window);
    const last = pool === 'attention' ? 'between steps' : 'waiting and receiving';
    return [...ops, ...rest, restRow(pool, last, wallUs - explained, window)].sort(
      (a, b) => b.timeUs - a.timeUs,
    );
  });
}

function rowOf(
  pool: OpRow['pool'],
  op: string,
  records: readonly OpRecord[],
  per: { readonly parts: number; readonly window: ProfiledTime; readonly limits: MachineLimits },
): OpRow {
  const sum = (pick: (record: OpRecord) => number): number =>
    records.reduce((total, record) => total + pick(record), 0) / per.parts;
  const timeUs = sum(({ startUs, endUs }) => endUs - startUs);
  const bytes = sum(({ weightBytes, kvBytes }) => weightBytes + kvBytes);
  const flops = sum((record) => record.flops);
  const seconds = timeUs / 1e6;
  const ofBandwidth = seconds > 0 ? bytes / seconds / per.limits.bytesPerSecond : 0;
  const ofPeak = seconds > 0 ? flops / seconds / per.limits.flopsPerSecond : 0;
  return {
    pool,
    op,
    calls: records.length / per.parts,
    bytes,
    flops,
    timeUs,
    shareOfTime: timeUs / wallOf(per.window),
    shareOfBound: Math.max(ofBandwidth, ofPeak),
    boundBy: ofBandwidth >= ofPeak ? 'bandwidth' : 'peak',
  };
}

/** Per step and worker, what an attention worker's steps spent outside of ops. */
function attentionRest(
  workers: readonly WorkerProfile[],
  window: ProfiledTime,
  ops: readonly OpRow[],
  parts: number,
): OpRow[] {
  const spent = workers.map(({ steps }) => spentBetween(steps, window));
  const of = (pick: (time: Spent) => number): number =>
    spent.reduce((total, time) => total + pick(time), 0) / parts;
  const inOps = ops.reduce((sum, { timeUs }) => sum + timeUs, 0);
  const calls = of(({ computeUs }) => computeUs) - inOps;
  return [
    restRow('attention', 'around ops', calls, window),
    restRow(
      'attention',
      'waiting for experts',
      of(({ waitUs }) => waitUs),
      window,
    ),
    restRow(
      'attention',
      'dispatch',
      of(({ dispatchUs }) => dispatchUs),
      window,
    ),
    restRow(
      'attention',
      'choosing tokens',
      of(({ samplingUs }) => samplingUs),
      window,
    ),
    restRow(
      'attention',
      'driving the step',
      of(({ drivingUs }) => drivingUs),
      window,
    ),
  ];
}

type Spent = Pick<StepRecord, 'computeUs' | 'waitUs' | 'dispatchUs' | 'samplingUs'> & {
  readonly drivingUs: number;
};

/** Of the steps that end within the window. */
function spentBetween(steps: readonly StepRecord[], window: ProfiledTime): Spent {
  const inside = steps.filter(({ endUs }) => endUs > window.startUs && endUs <= window.endUs);
  const of = (pick: (step: StepRecord) => number): number =>
    inside.reduce((sum, step) => sum + pick(step), 0);
  const computeUs = of((step) => step.computeUs);
  const waitUs = of((step) => step.waitUs);
  const dispatchUs = of((step) => step.dispatchUs);
  const samplingUs = of((step) => step.samplingUs);
  const totalUs = of(({ startUs, endUs }) => endUs - startUs);
  const drivingUs = totalUs - computeUs - waitUs - dispatchUs - samplingUs;
  return { computeUs, waitUs, dispatchUs, samplingUs, drivingUs };
}

function restRow(pool: OpRow['pool'], op: string, timeUs: number, window: ProfiledTime): OpRow {
  return {
    pool,
    op,
    calls: 0,
    bytes: 0,
    flops: 0,
    timeUs,
    shareOfTime: timeUs / wallOf(window),
    shareOfBound: null,
    boundBy: null,
  };
}

/** Of one step. */
function wallOf({ startUs, endUs, steps }: ProfiledTime): number {
  return (endUs - startUs) / Math.max(1, steps);
}

function groupByOp(records: readonly OpRecord[]): ReadonlyMap<string, OpRecord[]> {
  const groups = new Map<string, OpRecord[]>();
  for (const record of records) {
    const group = groups.get(record.op);
    if (group === undefined) groups.set(record.op, [record]);
    else group.push(record);
  }
  return groups;
}
