import { expect } from 'vitest';
import type { PlacementEpoch } from '../../spec/transport.js';
import { expertRank } from '../../spec/units.js';
import type { contractTest } from '../contract-test.js';
import type { SeededRandom } from '../seeded-random.js';
import type { ParticipantReport, PlainTransportOptions } from './transport-script.js';
import type { TeamPlan, TeamReport } from './transport-team.js';

export type TransportTest = ReturnType<typeof contractTest>;
export type RunTeam = (plan: Omit<TeamPlan, 'transport'>) => Promise<TeamReport>;

export const expertCount = 6;
/** Longer than anything that goes well takes, however busy the machine. */
export const patientMs = 20_000;

export function optionsFor(
  m: number,
  n: number,
  changes: Partial<PlainTransportOptions> = {},
): PlainTransportOptions {
  return {
    attentionWorkerCount: m,
    expertWorkerCount: n,
    placement: [Array.from({ length: expertCount }, (_, id) => [expertRank(id % n)])],
    layerCount: 2,
    hiddenSize: 8,
    topK: 2,
    dtype: 'f32',
    tokensPerSlotMax: 5,
    slotCount: 2,
    peerTimeoutMs: patientMs,
    spinUs: 0,
    gather: { type: 'lockstep' },
    ...changes,
  };
}

/**
 * Epochs 1, 2, … of random placements of the tests' experts, each on 1 to `n` ranks; every other
 * one the same in both layers.
 */
export function randomPlacements(
  random: SeededRandom,
  n: number,
  count: number,
): readonly PlacementEpoch[] {
  const ranks = Array.from({ length: n }, (_, rank) => expertRank(rank));
  return Array.from({ length: count }, (_, index) => ({
    epoch: index + 1,
    placement: Array.from({ length: 1 + (index % 2) }, () =>
      Array.from({ length: expertCount }, () =>
        random.shuffle(ranks).slice(0, random.integer(1, n)),
      ),
    ),
  }));
}

export function serving(n: number): TeamPlan['expert'] {
  return repeat(n, [{ type: 'serve' } as const]);
}

export function repeat<Item>(count: number, item: Item): Item[] {
  return Array<Item>(count).fill(item);
}

/** No error, no broken promise, and every row sent was served once. */
export function expectWell(
  report: TeamReport,
  hint = '',
  answered: 'answered' | 'unanswered' = 'answered',
) {
  for (const participant of [...report.attention, ...report.expert]) {
    expect(participant?.error, hint).toBeUndefined();
    expect(participant, hint).toBeDefined();
    expect(participant?.trouble, hint).toEqual([]);
  }
  if (answered === 'answered') expect(sumOf(report.expert), hint).toEqual(sumOf(report.attention));
}

/** [expert ranks] */
export function sumOf(reports: readonly (ParticipantReport | undefined)[]): number[] {
  const sum: number[] = [];
  for (const report of reports) {
    for (const [rank, rows] of (report?.rows ?? []).entries()) sum[rank] = (sum[rank] ?? 0) + rows;
  }
  return sum;
}

export function lastOutcome(report: ParticipantReport | undefined) {
  const outcome = report?.outcomes.at(-1);
  if (outcome === undefined) throw new Error(`No outcome: ${JSON.stringify(report)}`);
  return outcome;
}
