import { expect } from 'vitest';
import { liveEpochsMax, type PlacementEpoch } from '../../spec/transport.js';
import { expertRank } from '../../spec/units.js';
import { SeededRandom } from '../seeded-random.js';
import {
  expectWell,
  expertCount,
  lastOutcome,
  optionsFor,
  randomPlacements,
  repeat,
  type RunTeam,
  type TransportTest,
} from './transport-case.js';

const learning = (placements: readonly PlacementEpoch[]) =>
  placements.map((each) => ({ type: 'learn', ...each }) as const);

/**
 * Placements change while steps run: every (token, expert) pair is computed once, by a replica of
 * its step's epoch.
 */
export function epochTests(test: TransportTest, run: RunTeam): void {
  test('placements change on each attention rank in its own time, and every row comes back once', async () => {
    const random = new SeededRandom(11);
    for (const gather of ['lockstep', 'layer', 'window'] as const) {
      const placements = randomPlacements(random, 3, liveEpochsMax - 1);
      const policy = gather === 'window' ? { type: gather, windowUs: 100 } : { type: gather };
      const options = optionsFor(3, 3, { slotCount: 3, topK: 3, gather: policy });
      const steps = { type: 'random-steps', count: 30, parkChance: 0.1, pauseMsMax: 1 } as const;
      const expert = repeat(3, [...learning(placements), { type: 'serve' } as const]);
      const attention = repeat(3, [{ ...steps, placements }]);
      expectWell(await run({ options, attention, expert }), `${gather} gather`);
    }
  });

  test('answers that expert ranks sum add up to the same under every placement', async () => {
    const placements = randomPlacements(new SeededRandom(12), 2, 3);
    const options = optionsFor(2, 2, { topK: 3, combine: 'expert' });
    const steps = { type: 'random-steps', count: 20, parkChance: 0.1, pauseMsMax: 1 } as const;
    const expert = repeat(2, [...learning(placements), { type: 'serve' } as const]);
    expectWell(await run({ options, attention: repeat(2, [{ ...steps, placements }]), expert }));
  });

  test('a retired epoch makes room for another, and its frames without rows still pass', async () => {
    const onRank = (rank: number) => [
      Array.from({ length: expertCount }, () => [expertRank(rank)]),
    ];
    const epochs = Array.from({ length: 2 * liveEpochsMax }, (_, index) => ({
      epoch: index + 1,
      placement: onRank(1),
    }));
    const step = { type: 'step', tokens: [3, 4], experts: [0, 1] } as const;
    // Rank 1 gets no rows in epoch 0 and reads its frames when it has retired that epoch.
    const options = optionsFor(1, 2, { placement: onRank(0) });
    const turns = epochs.flatMap((each) => [
      { type: 'learn', ...each } as const,
      { type: 'retire', upTo: each.epoch - 1 } as const,
    ]);
    const last = { epoch: 2 * liveEpochsMax, placement: onRank(1) };
    const idle = { type: 'sleep', ms: 100 } as const;
    const serve = { type: 'serve' } as const;
    const upTo = last.epoch - 1;
    const report = await run({
      options,
      attention: [[step, step, { type: 'adopt', ...last }, step, step]],
      expert: [
        [{ type: 'learn', ...last }, { ...serve, inputs: 8 }, { type: 'retire', upTo }, serve],
        [...turns, idle, serve],
      ],
    });
    expectWell(report);
    expect(report.expert[1]?.inputs).toBe(8);
  });

  test('a frame of an epoch that was not learnt, or was retired, ends the port and is named', async () => {
    const options = optionsFor(1, 1);
    const { placement } = options;
    const step = { type: 'step', tokens: [3] } as const;
    const failing = { type: 'receive', throws: 'ERR_FRAME_INVALID' } as const;
    const lost = { ...step, throws: 'ERR_PEER_CLOSED' } as const;
    const unknown = await run({
      options,
      attention: [[{ type: 'adopt', epoch: 77, placement }, lost]],
      expert: [[failing]],
    });
    expect(lastOutcome(unknown.expert[0]).error?.message).toContain('placement epoch 77');
    const retired = await run({
      options,
      attention: [[lost]],
      expert: [[{ type: 'learn', epoch: 1, placement }, { type: 'retire', upTo: 0 }, failing]],
    });
    expect(lastOutcome(retired.expert[0]).error?.message).toContain('placement epoch 0');
    expectWell(unknown, '', 'unanswered');
    expectWell(retired, '', 'unanswered');
  });

  test('placements that cannot be are refused, and nothing changes', async () => {
    const options = optionsFor(1, 2, { placementEpoch: 5 });
    const { placement } = options;
    const [first = []] = placement;
    const short = first.slice(1);
    const stranger = [[expertRank(2)], ...short];
    const order = { throws: 'ERR_FRAME_INVALID' } as const;
    const config = { throws: 'ERR_CONFIG_FIELD' } as const;
    const step = { type: 'step', tokens: [3, 4] } as const;
    const wrong = <Type extends 'adopt' | 'learn'>(type: Type) => [
      { type, epoch: 5, placement, ...order },
      { type, epoch: 4, placement, ...order },
      { type, epoch: 6, placement: [], ...config },
      { type, epoch: 6, placement: [first, first, first], ...config },
      { type, epoch: 6, placement: [first, short], ...config },
      { type, epoch: 6, placement: [first, stranger], ...config },
      { type, epoch: 6, placement: [[[], ...short]], ...config },
      { type, epoch: 6.5, placement, ...config },
    ];
    const fill = Array.from({ length: liveEpochsMax - 1 }, (_, index) => ({
      type: 'learn' as const,
      epoch: 6 + index,
      placement,
    }));
    const tooMany = { type: 'learn', epoch: 6 + liveEpochsMax, placement, ...order } as const;
    const report = await run({
      options,
      attention: [[step, ...wrong('adopt'), step, { type: 'adopt', epoch: 7, placement }, step]],
      expert: repeat(2, [...wrong('learn'), ...fill, tooMany, { type: 'serve' } as const]),
    });
    expectWell(report);
  });
}
