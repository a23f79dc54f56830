import { expertRank, type ExpertPort, type ExpertStage } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { ExpertMover } from '../../../src/placement/expert-mover.js';

const layerCount = 3;
/** By a load, of the clock and of the budget. */
const loadUs = 700;
const loadBytes = 1000;

function mover(options: { failAt?: number } = {}) {
  const log: string[] = [];
  const sent: { type: string }[] = [];
  const clock = { timeUs: 0, nowUs: () => clock.timeUs, wallMs: () => 0 };
  let loads = 0;
  const stage = {
    load: (layer: number, expert: number) => {
      if (++loads === options.failAt) throw new Error('no memory');
      clock.timeUs += loadUs;
      log.push(`${expert}/${layer}`);
      return loadBytes;
    },
    drop: (layer: number, expert: number) => {
      log.push(`drop ${expert}/${layer}`);
      return loadBytes;
    },
  };
  const port = {
    learnPlacement: ({ epoch }: { epoch: number }) => log.push(`learn ${epoch}`),
    retirePlacements: (upTo: number) => log.push(`retire ${upTo}`),
  };
  const own = new ExpertMover({
    rank: expertRank(1),
    stage: stage as unknown as ExpertStage,
    port: port as unknown as ExpertPort,
    layerCount,
    placement: [[[expertRank(0)], [expertRank(1)], [expertRank(0)]]],
    clock,
    inbox: { send: (message) => sent.push(message) },
  });
  return { own, log, sent, clock };
}

const even = [[0], [1], [0]];
/** In the second layer expert 0 stays where it is. */
const to = {
  epoch: 1,
  placement: [
    [[0, 1], [0], [1]],
    [[0], [0], [1]],
    [[0, 1], [0], [1]],
  ],
};

describe('an expert worker’s part in a move', () => {
  it('loads what it gains in the order of the checkpoint, a few at a stretch, then answers', () => {
    const { own, log, sent } = mover();
    own.receive({ type: 'placement-planned', ...to, bytesPerSecond: 1e9 });
    // Three loads of 700 µs pass the 2 ms.
    expect(log).toEqual(['0/0', '2/0', '2/1']);
    expect(sent).toEqual([]);
    own.work();
    expect(log.slice(3)).toEqual(['0/2', '2/2']);
    const bytes = 5 * loadBytes;
    const longestPauseUs = 3 * loadUs;
    expect(sent).toEqual([{ type: 'experts-loaded', epoch: 1, experts: 5, bytes, longestPauseUs }]);
    own.work();
    expect(sent.length).toBe(1);

    own.receive({ type: 'placement-opened', ...to });
    own.receive({ type: 'placement-settled', ...to });
    expect(log.slice(5)).toEqual(['learn 1', 'retire 0', 'drop 1/0', 'drop 1/1', 'drop 1/2']);
    expect(sent.slice(1)).toEqual([
      { type: 'placement-learned', epoch: 1 },
      { type: 'experts-dropped', epoch: 1, experts: 3, bytes: 3 * loadBytes },
    ]);
  });

  it('stays within its budget', () => {
    const { own, log, clock } = mover();
    own.receive({ type: 'placement-planned', ...to, bytesPerSecond: 10 * loadBytes });
    expect(log.length).toBe(1);
    while (log.length < 5) {
      clock.timeUs += 1000;
      own.work();
      expect(log.length).toBeLessThanOrEqual(1 + (10 * (clock.timeUs + 50_000)) / 1e6);
    }
    expect(clock.timeUs).toBeLessThan(600_000);
  });

  it('says what it could not load, and drops what it had gained', () => {
    const { own, log, sent } = mover({ failAt: 3 });
    own.receive({ type: 'placement-planned', ...to, bytesPerSecond: 1e9 });
    expect(sent).toMatchObject([{ type: 'experts-loaded', epoch: 1, error: { name: 'Error' } }]);
    own.work();
    expect(log).toEqual(['0/0', '2/0']);
    own.receive({ type: 'placement-settled', epoch: 0, placement: [even, even, even] });
    const drops = ['drop 0/0', 'drop 2/0', 'drop 2/1', 'drop 0/2', 'drop 2/2'];
    expect(log.slice(2)).toEqual(['retire -1', ...drops]);
    expect(sent[1]).toMatchObject({ type: 'experts-dropped', epoch: 0, experts: 5 });
  });

  it('answers at once when it gains nothing', () => {
    const { own, sent } = mover();
    own.receive({
      type: 'placement-planned',
      epoch: 4,
      placement: [even, even, even],
      bytesPerSecond: 1,
    });
    expect(sent).toMatchObject([{ type: 'experts-loaded', epoch: 4, experts: 0, bytes: 0 }]);
  });
});
