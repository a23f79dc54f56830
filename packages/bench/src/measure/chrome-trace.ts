import { TraceWriter, type ChromeTrace, type OpRecord } from '@megascale/core';
import type { WorkerProfile } from '@megascale/engine';

/**
 * Draws every step, stage and op of a run, one process per worker, on one clock that starts with
 * the first of them. A viewer draws what lies inside another span in time below it.
 */
export function chromeTrace(profiles: readonly WorkerProfile[]): ChromeTrace {
  const writer = new TraceWriter();
  for (const { role, rank, pid, steps, stages } of profiles) {
    writer.process(pid, `${role} worker ${rank}`);
    for (const { startUs, endUs, tokens, outputTokens } of steps) {
      writer.span({ name: 'step', pid, startUs, endUs, args: { tokens, outputTokens } });
    }
    for (const { stage, records } of stages) {
      // An expert stage runs one op per layer, so its ops are not grouped.
      const calls = stage === 'attention' ? stageCalls(records) : [];
      for (const call of calls) {
        const { startUs, endUs } = call;
        writer.span({ name: nameOf(call), pid, startUs, endUs, args: placeOf(call) });
      }
      for (const record of records) {
        const { op, startUs, endUs, weightBytes, kvBytes, flops } = record;
        const args = { ...placeOf(record), weightBytes, kvBytes, flops };
        writer.span({ name: op, pid, startUs, endUs, args });
      }
    }
  }
  return writer.trace();
}

interface StageCall {
  readonly op: string;
  readonly layer: number;
  readonly microBatch: number;
  readonly startUs: number;
  readonly endUs: number;
}

/**
 * Joins the ops that follow each other in one layer and micro-batch into one call of the stage. A
 * combine is left out, because it is a call of its own with one op.
 */
function stageCalls(records: readonly OpRecord[]): StageCall[] {
  const groups: StageCall[] = [];
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

function nameOf({ layer, op }: StageCall): string {
  if (layer >= 0) return 'attend';
  return op === 'embed' ? 'prologue' : 'epilogue';
}

function placeOf({ layer, microBatch }: { readonly layer: number; readonly microBatch: number }) {
  return { ...(layer < 0 ? {} : { layer }), ...(microBatch < 0 ? {} : { microBatch }) };
}
