import { attentionRank } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { BoundedQueue, chooseAttentionWorker } from '../src/index.js';

const load = (rank: number, outstandingTokens: number) => ({
  rank: attentionRank(rank),
  outstandingTokens,
});

describe('the choice of an attention worker', () => {
  it('takes the one with the fewest outstanding tokens', () => {
    expect(chooseAttentionWorker([load(0, 30), load(1, 10), load(2, 20)])).toBe(1);
  });

  it('takes the lowest rank among equals, whatever the order of the list', () => {
    expect(chooseAttentionWorker([load(2, 5), load(1, 5), load(3, 5)])).toBe(1);
  });

  it('takes none when there is none', () => {
    expect(chooseAttentionWorker([])).toBeUndefined();
  });
});

describe('a bounded queue', () => {
  it('gives back in the order it took', () => {
    const queue = new BoundedQueue<string>('waitingMax', 3);
    for (const item of ['a', 'b', 'c']) queue.push(item);
    expect(queue.remove('b')).toBe(true);
    expect(queue.remove('b')).toBe(false);
    expect([...queue]).toEqual(['a', 'c']);
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual(['a', 'c', undefined]);
  });

  it('refuses what exceeds its limit, by name, and keeps what it has', () => {
    const queue = new BoundedQueue<string>('waitingMax', 1);
    queue.push('a');
    expect(() => {
      queue.push('b');
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_QUEUE_FULL',
        details: { limitName: 'waitingMax', max: 1 },
      }),
    );
    expect([...queue]).toEqual(['a']);
  });
});
