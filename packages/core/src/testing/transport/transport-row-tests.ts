import { expect } from 'vitest';
import { expertRank } from '../../spec/units.js';
import { SeededRandom } from '../seeded-random.js';
import {
  expectWell,
  expertCount,
  optionsFor,
  patientMs,
  repeat,
  serving,
  type RunTeam,
  type TransportTest,
} from './transport-case.js';

const shapes = [1, 2, 3].flatMap((m) => [1, 2, 4].map((n) => [m, n] as const));
const slotCounts = [1, 2, 3, 4];

export function rowTests(test: TransportTest, run: RunTeam): void {
  for (const [m, n] of shapes) {
    test(`every row comes back to its token: ${m} attention ranks × ${n} expert ranks`, async () => {
      for (const slotCount of slotCounts) {
        const options = optionsFor(m, n, { slotCount });
        const steps = { type: 'random-steps', count: 6, parkChance: 0, pauseMsMax: 1 } as const;
        const attention = repeat(m, [steps]);
        const report = await run({ options, attention, expert: serving(n), seed: slotCount * 10 });
        expectWell(report, `${slotCount} micro-batches`);
      }
    });
  }

  test('many steps with random parks and pauses', async () => {
    const options = optionsFor(3, 2, { slotCount: 3 });
    const steps = { type: 'random-steps', count: 120, parkChance: 0.3, pauseMsMax: 2 } as const;
    for (const seed of [1, 2, 3]) {
      expectWell(
        await run({ options, attention: repeat(3, [steps]), expert: serving(2), seed }),
        `seed ${seed}`,
      );
    }
  });

  test('the window gather brings the same rows', async () => {
    for (const windowUs of [0, 300]) {
      const options = optionsFor(2, 2, { slotCount: 2, gather: { type: 'window', windowUs } });
      const steps = { type: 'random-steps', count: 30, parkChance: 0.1, pauseMsMax: 1 } as const;
      const report = await run({ options, attention: repeat(2, [steps]), expert: serving(2) });
      expectWell(report, `window of ${windowUs} µs`);
    }
  });

  test('the layer gather brings the same rows, also to waits that spin and yield', async () => {
    for (const spinUs of [0, 100]) {
      const options = optionsFor(3, 2, {
        slotCount: 3,
        gather: { type: 'layer' },
        spinUs,
        spinYields: true,
      });
      const steps = { type: 'random-steps', count: 60, parkChance: 0.2, pauseMsMax: 1 } as const;
      const report = await run({ options, attention: repeat(3, [steps]), expert: serving(2) });
      expectWell(report, `spinning ${spinUs} µs`);
    }
  });

  test('the layer gather serves all micro-batches of a layer at once', async () => {
    const step = { type: 'step', tokens: [3, 4, 1], experts: [0, 1] } as const;
    const options = optionsFor(1, 1, { slotCount: 3, gather: { type: 'layer' } });
    const steps = 20;
    const report = await run({
      options,
      attention: [Array<typeof step>(steps).fill(step)],
      expert: serving(1),
    });
    expectWell(report);
    expect(report.expert[0]?.inputs).toBe(steps * options.layerCount);
  });

  test('replicas share the rows: each row is served by one of its expert’s holders', async () => {
    const random = new SeededRandom(7);
    for (const n of [2, 3, 4]) {
      const ranks = Array.from({ length: n }, (_, rank) => expertRank(rank));
      // One for each of the two layers.
      const placement = [0, 1].map(() =>
        Array.from({ length: expertCount }, () =>
          random.shuffle(ranks).slice(0, random.integer(1, n)),
        ),
      );
      // 1: the few rows of one expert are split too.
      const splitRowsMin = n === 2 ? 16 : 1;
      const options = optionsFor(2, n, { placement, splitRowsMin, slotCount: 3, topK: 3 });
      const steps = { type: 'random-steps', count: 15, parkChance: 0.1, pauseMsMax: 1 } as const;
      const report = await run({ options, attention: repeat(2, [steps]), expert: serving(n) });
      expectWell(report, JSON.stringify(placement));
    }
  });

  test('answers that expert ranks sum add up to the same, once per token and expert rank', async () => {
    for (const n of [1, 2, 3]) {
      const placement = [
        Array.from({ length: expertCount }, (_, id) =>
          [id % n, (id + 1) % n].slice(0, n).map(expertRank),
        ),
      ];
      for (const replicated of [false, true]) {
        const options = optionsFor(2, n, {
          ...(replicated ? { placement } : {}),
          topK: 3,
          slotCount: 3,
          combine: 'expert',
        });
        const steps = { type: 'random-steps', count: 15, parkChance: 0.1, pauseMsMax: 1 } as const;
        const report = await run({ options, attention: repeat(2, [steps]), expert: serving(n) });
        expectWell(report, `${n} expert ranks${replicated ? ', replicas' : ''}`);
      }
    }
  });

  test('a wait that spins first brings the same rows', async () => {
    const steps = { type: 'random-steps', count: 20, parkChance: 0.1, pauseMsMax: 1 } as const;
    const options = optionsFor(2, 1, { spinUs: 100 });
    expectWell(await run({ options, attention: repeat(2, [steps]), expert: serving(1) }));
  });
}

export function lockstepTests(test: TransportTest, run: RunTeam): void {
  test('an attention rank whose micro-batches are empty lets the others go on', async () => {
    const full = { type: 'step', tokens: [3, 4] } as const;
    const empty = { type: 'step', tokens: [0, 0] } as const;
    const options = optionsFor(2, 2);
    const attention = [Array<typeof full>(20).fill(full), Array<typeof empty>(20).fill(empty)];
    expectWell(await run({ options, attention, expert: serving(2) }));
  });

  test('an expert rank without rows lets the others go on', async () => {
    const step = { type: 'step', tokens: [3, 4], experts: [0, 2] } as const;
    const options = optionsFor(2, 2);
    const report = await run({
      options,
      attention: repeat(2, [step, step, step]),
      expert: serving(2),
    });
    expectWell(report);
    expect(report.expert[1]?.inputs).toBe(0);
  });

  test('ranks in step are served together', async () => {
    const step = { type: 'step', tokens: [3, 4], experts: [0, 1] } as const;
    const pause = { type: 'sleep', ms: 1 } as const;
    // One rank may open much later than the other.
    const actions = Array.from({ length: 500 }, () => [pause, step]).flat();
    const options = optionsFor(2, 1);
    const report = await run({ options, attention: repeat(2, actions), expert: serving(1) });
    expectWell(report);
    // Of 2000 inputs; until both ranks have begun, they may be served alone.
    expect(report.expert[0]?.merged).toBeGreaterThan(100);
  });

  test('a rank that leaves is not waited for', async () => {
    const step = { type: 'step', tokens: [3, 4] } as const;
    const options = optionsFor(2, 2, { peerTimeoutMs: patientMs });
    const attention = [[step], Array<typeof step>(30).fill(step)];
    expectWell(await run({ options, attention, expert: serving(2) }));
  });

  test('an expert rank without rows may be busy for long, or gone', async () => {
    const step = { type: 'step', tokens: [3, 4], experts: [0, 2] } as const;
    const steps = Array<typeof step>(60).fill(step);
    const busy = { type: 'sleep', ms: 300 } as const;
    for (const other of [[busy, { type: 'serve' }], [{ type: 'close' }]] as const) {
      const expert = [[{ type: 'serve' }], other] as const;
      expectWell(
        await run({ options: optionsFor(1, 2), attention: [steps], expert }),
        other[0].type,
      );
    }
  });
}
