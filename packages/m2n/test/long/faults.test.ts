import {
  participantProcesses,
  participantThreads,
  TransportTeam,
  type TeamPlan,
  type ParticipantReport,
  type PlainTransportOptions,
  type TeamReport,
} from '@megascale/core/testing';
import { expertRank } from '@megascale/core';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { shm } from '../../src/transports/shm.js';

/** Five tests at once start twenty participants, which takes a busy machine a while. */
vi.setConfig({ testTimeout: 120_000 });

const startFile = new URL('../support/faulty-participant.mjs', import.meta.url);
const timeoutMs = 2000;
const patientMs = 20_000;
/** Even experts on expert rank 0, odd ones on 1. */
const options: PlainTransportOptions = {
  attentionWorkerCount: 2,
  expertWorkerCount: 2,
  placement: [[0, 1, 0, 1].map((rank) => [expertRank(rank)])],
  layerCount: 2,
  hiddenSize: 8,
  topK: 2,
  dtype: 'f32',
  tokensPerSlotMax: 5,
  slotCount: 2,
  peerTimeoutMs: timeoutMs,
  spinUs: 0,
  gather: { type: 'lockstep' },
};
const steps = (experts: readonly number[], count = 6) =>
  Array<{ type: 'step'; tokens: number[]; experts: readonly number[] }>(count).fill({
    type: 'step',
    tokens: [3, 4],
    experts,
  });

/**
 * Two pairs that share nothing but the gather: attention rank 0 with expert rank 1, and 1 with 0.
 */
const plan = {
  attention: [steps([1, 3]), steps([0, 2])],
  expert: [[{ type: 'serve' }], [{ type: 'serve' }]],
  stopAfterMs: 4 * timeoutMs,
} as const;

const shmProbe = await shm.probe();
const starts = [
  { transport: 'loopback', start: participantThreads(startFile) },
  ...(shmProbe.available ? [{ transport: 'shm', start: participantProcesses(startFile) }] : []),
];

// These mostly wait for limits.
describe.concurrent.each(starts)('$transport, when it goes wrong for one pair of ranks', (each) => {
  const team = new TransportTeam(each.start);
  afterAll(() => team.close());
  const run = (
    fault: string,
    changes: Partial<PlainTransportOptions> = {},
    other: { readonly seed?: number; readonly attention?: TeamPlan['attention'] } = {},
  ) =>
    team.run({
      ...plan,
      attention: other.attention ?? plan.attention,
      transport: `${each.transport} with ${fault} ${other.seed ?? 0}`,
      options: { ...options, ...changes },
      expertOptions: { peerTimeoutMs: timeoutMs },
    });

  it.each(
    ['truncated', 'corrupted', 'wrong-routes', 'repeated'].flatMap((fault) =>
      [0, 1, 2, 3].map((seed) => [fault, seed] as const),
    ),
  )(
    'a frame that is %s (seed %i) is ERR_FRAME_INVALID where it came; the other pair goes on',
    async (fault, seed) => {
      const report = await run(fault, {}, { seed });
      expectError(report.expert[1], 'ERR_FRAME_INVALID', /attention rank 0/);
      expectError(
        report.attention[0],
        'ERR_PEER_CLOSED',
        /layer \d, micro-batch \d.*expert rank 1/,
      );
      expectWell(report, [report.attention[1], report.expert[0]]);
    },
  );

  it.each(['late-expert', 'late-attention'])('a %s rank is waited for', async (fault) => {
    const report = await run(fault);
    expectWell(report, [...report.attention, ...report.expert]);
  });

  it.each(['stalled-expert', 'lost-expert'])(
    'a %s rank is ERR_PEER_TIMEOUT to who waits for it; the other pair goes on where a window bounds the wait',
    async (fault) => {
      const report = await run(fault, { gather: { type: 'window', windowUs: 200 } });
      expectError(
        report.attention[0],
        'ERR_PEER_TIMEOUT',
        /attention rank 0 at layer \d, micro-batch \d .*expert rank 1/,
      );
      expectWell(report, [report.attention[1], report.expert[0]]);
    },
  );

  it.each(['stalled-attention', 'lost-attention'])(
    'a %s rank is ERR_PEER_TIMEOUT in lockstep to the expert rank that waits for it',
    async (fault) => {
      // The attention ranks are patient, so that it is the expert rank whose wait ends first; and
      // the healthy one has steps left, however much later the other one began.
      const attention = [steps([1, 3]), steps([0, 2], 3000)];
      const report = await run(fault, { peerTimeoutMs: patientMs }, { attention });
      expectError(
        report.expert[0],
        'ERR_PEER_TIMEOUT',
        /expert rank 0 at layer \d, micro-batch \d .*attention rank 0/,
      );
      expectError(report.attention[1], 'ERR_PEER_CLOSED', /expert rank 0/);
    },
  );

  it.each(['stalled-attention', 'lost-attention'])(
    'a %s rank does not hold up the other pair where a window bounds the wait',
    async (fault) => {
      const report = await run(fault, { gather: { type: 'window', windowUs: 200 } });
      expectWell(report, [report.attention[1]]);
    },
  );
});

function expectError(report: ParticipantReport | undefined, code: string, message: RegExp): void {
  expect(report?.error?.code, JSON.stringify(report)).toBe(code);
  expect(report?.error?.message).toMatch(message);
  expect(report?.trouble, 'rows until then').toEqual([]);
}

function expectWell(report: TeamReport, ranks: readonly (ParticipantReport | undefined)[]): void {
  for (const rank of ranks) {
    expect(rank, JSON.stringify(report)).toBeDefined();
    expect(rank?.error).toBeUndefined();
    expect(rank?.trouble).toEqual([]);
  }
}
