import type { AblationRow } from './ablation-row.js';

/**
 * How the best cut deployment's rate over the baseline's comes about: `total` was measured, and is
 * the product of the others.
 */
export interface Gains {
  /**
   * One expert batch of all attention workers' rows, less what the transfers cost: the cut with m =
   * 1 over the baseline.
   */
  readonly expertBatch: number;
  /** Its m over m = 1. */
  readonly overlap: number;
  /** More sequences in the same memory. */
  readonly kvCapacity: number;
  readonly total: number;
  readonly microBatches: number;
}

/** @throws RangeError when a row is missing. */
export function gainsOf(rows: readonly AblationRow[]): Gains {
  const cut = expectRow(rows.find(({ question }) => question === 'cut'));
  const best = expectRow(
    rows
      .filter(({ question }) => question === 'kv-capacity')
      .reduce<AblationRow | undefined>(
        (a, b) => (a === undefined || b.ratio.median > a.ratio.median ? b : a),
        undefined,
      ),
  );
  const sameBatch = expectRow(
    rows.find(
      ({ question, microBatches }) =>
        (question === 'cut' || question === 'micro-batches') && microBatches === best.microBatches,
    ),
  );
  const [expertBatch, total] = [cut.ratio.median, best.ratio.median];
  return {
    expertBatch,
    overlap: sameBatch.ratio.median / expertBatch,
    kvCapacity: total / sameBatch.ratio.median,
    total,
    microBatches: best.microBatches,
  };
}

function expectRow(row: AblationRow | undefined): AblationRow {
  if (row === undefined) throw new RangeError('The ablation lacks a row that its gains need.');
  return row;
}

/** One paragraph a person can act on. */
export function verdict(gains: Gains, batch: number, capacityBatch: number): string {
  const factor = (value: number): string => `${value.toFixed(2)} ×`;
  const { expertBatch, overlap, kvCapacity, total, microBatches } = gains;
  const parts = `expert batch less transfers ${factor(expertBatch)}, overlap ${factor(overlap)}, KV capacity ${factor(kvCapacity)} (${String(batch)} → ${String(capacityBatch)} sequences)`;
  if (total >= 1.02)
    return `Disaggregation pays here: ${factor(total)} the baseline's tokens per second with m = ${String(microBatches)}. ${parts}.`;
  const causes = [
    ...(expertBatch < 1 ? ['what the cut costs is more than the larger expert batch brings'] : []),
    ...(overlap < 1.05
      ? [
          'there is hardly anything to overlap: the pools share cores, or one of them has nearly all the work',
        ]
      : []),
    ...(kvCapacity < 1
      ? [
          'the expert workers’ memory would hold more keys and values than the attention workers save',
        ]
      : []),
  ];
  return `Disaggregation does not pay here: ${factor(total)} the baseline's tokens per second at best (m = ${String(microBatches)}). ${parts}. ${capitalized(causes.join('; '))}${causes.length > 0 ? '. ' : ''}Run colocated.`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
