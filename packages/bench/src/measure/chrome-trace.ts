import type { OpRecord } from '@megascale/core';
import type { WorkerProfile } from '@megascale/engine';

/** What chrome://tracing and Perfetto open. */
export interface ChromeTrace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
}

export interface TraceEvent {
  readonly name: string;
  /** 'X': from `ts` for `dur` microseconds; 'M': a name for a process or thread. */
  readonly ph: 'X' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, string | number>>;
}

/**
 * Every step, half-layer and op of a run, one process per worker, all on one clock that starts with the first of
 * them. What lies inside another in time is drawn below it.
 */
export function chromeTrace(profiles: readonly WorkerProfile[]): ChromeTrace {
  const starts = profiles.flatMap(({ steps, stages }) => [
    ...steps.map(({ startUs }) => startUs),
    ...stages.flatMap(({ records }) => records.map(({ startUs }) => startUs)),
  ]);
  const originUs = starts.reduce((least, startUs) => Math.min(least, startUs), Infinity);
  return {
    displayTimeUnit: 'ms',
    traceEvents: profiles.flatMap((profile) => [...eventsOf(profile, originUs)]),
  };
}

function* eventsOf(profile: WorkerProfile, originUs: number): Generator<TraceEvent> {
  const { role, rank, pid, steps, stages } = profile;
  const span = (
    name: string,
    time: { readonly startUs: number; readonly endUs: number },
    args: TraceEvent['args'],
  ): TraceEvent => ({
    name,
    ph: 'X',
    pid,
    tid: 1,
    ts: time.startUs - originUs,
    dur: time.endUs - time.startUs,
    args,
  });
  yield {
    name: 'process_name',
    ph: 'M',
    pid,
    tid: 1,
    ts: 0,
    args: { name: `${role} worker ${String(rank)}` },
  };
  for (const step of steps) {
    yield span('step', step, { tokens: step.tokens, outputTokens: step.outputTokens });
  }
  for (const { stage, records } of stages) {
    // An expert stage's op is its half-layer.
    const groups = stage === 'attention' ? halfLayers(records) : [];
    for (const group of groups) yield span(nameOf(group), group, placeOf(group));
    for (const record of records) {
      const { weightBytes, kvBytes, flops } = record;
      yield span(record.op, record, { ...placeOf(record), weightBytes, kvBytes, flops });
    }
  }
}

interface HalfLayer {
  readonly op: string;
  readonly layer: number;
  readonly microBatch: number;
  readonly startUs: number;
  readonly endUs: number;
}

/** Ops that follow each other in one layer and micro-batch. A combine stands alone, as it is called alone. */
function halfLayers(records: readonly OpRecord[]): HalfLayer[] {
  const groups: HalfLayer[] = [];
  for (const { op, layer, microBatch, startUs, endUs } of records) {
    const last = groups.at(-1);
    const starts = op === 'combine' || op === 'embed' || last?.op === 'combine';
    if (!starts && last?.layer === layer && last.microBatch === microBatch) {
      groups[groups.length - 1] = { ...last, endUs };
    } else {
      groups.push({ op, layer, microBatch, startUs, endUs });
    }
  }
  return groups.filter(({ op }) => op !== 'combine');
}

function nameOf({ layer, op }: HalfLayer): string {
  if (layer >= 0) return 'attend';
  return op === 'embed' ? 'prologue' : 'epilogue';
}

function placeOf({ layer, microBatch }: { readonly layer: number; readonly microBatch: number }) {
  return { ...(layer < 0 ? {} : { layer }), ...(microBatch < 0 ? {} : { microBatch }) };
}
