import { describe, expect, it } from 'vitest';
import { mapTogether } from '../../src/output/map-together.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('mapTogether', () => {
  it('keeps the order of the list, whoever is done first', async () => {
    const gates = new Map<number, () => void>();
    const wait = (item: number) =>
      new Promise<number>((resolve) =>
        gates.set(item, () => {
          resolve(item * 2);
        }),
      );
    const mapped = mapTogether([1, 2, 3], wait);
    for (const item of [3, 1, 2]) gates.get(item)?.();
    expect(await mapped).toEqual([2, 4, 6]);
  });

  it('has at most 512 under way', async () => {
    let running = 0;
    let most = 0;
    const items = Array.from({ length: 1500 }, (_, index) => index);
    const mapped = await mapTogether(items, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await turn();
      running -= 1;
      return item;
    });
    expect(most).toBe(512);
    expect(mapped).toEqual(items);
  });

  it('fails with the first failure', async () => {
    const failing = mapTogether([1, 2], (item) => Promise.reject(new Error(String(item))));
    await expect(failing).rejects.toThrow('1');
  });
});
