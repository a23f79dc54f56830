import { sequenceId } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import {
  admitSequence,
  finishSequence,
  preemptSequence,
  sequenceTransitions,
  startSequence,
  tokensLeft,
  type RunningSequence,
  type SequenceRequest,
  type WaitingSequence,
} from '../../src/index.js';

const request = (changes: Partial<SequenceRequest> = {}): SequenceRequest => ({
  id: sequenceId(7),
  promptTokens: [5, 6, 7],
  maxTokens: 2,
  eosTokenIds: [1, 2],
  ignoreEos: false,
  arrivedAtMs: 0,
  sampling: {},
  ...changes,
});

describe('a sequence', () => {
  it('starts with all its tokens to compute', () => {
    const waiting = admitSequence(request(), 0);
    expect(tokensLeft(waiting)).toBe(3);
    const running = startSequence(waiting);
    expect(running).toMatchObject({ state: 'running', computedTokens: 0 });
    expect(running.kvPages).toBe(0);
  });

  it('keeps its tokens through preemption and computes them all again', () => {
    const running = startSequence(admitSequence(request(), 0));
    running.computedTokens = 3;
    running.append(8, 0);
    expect(tokensLeft(running)).toBe(1);
    const waiting = preemptSequence(running);
    expect(tokensLeft(waiting)).toBe(4);
    expect(waiting.history.tokens).toEqual([5, 6, 7, 8]);
    expect(waiting.history.promptTokenCount).toBe(3);
  });

  it('takes output that was emitted elsewhere as known', () => {
    const waiting = admitSequence(request({ outputTokens: [9], maxTokens: 3 }), 0);
    expect(waiting.history).toMatchObject({ tokens: [5, 6, 7, 9], promptTokenCount: 3 });
  });

  it('has no way out of finished, and the table says so', () => {
    const finished = finishSequence(admitSequence(request(), 0), 'abort');
    expect(sequenceTransitions.finished).toEqual([]);
    expect(() => startSequence(finished as unknown as WaitingSequence)).toThrow(
      'Sequence 7 is finished and cannot become running.',
    );
    expect(() => preemptSequence(finished as unknown as RunningSequence)).toThrow(TypeError);
    expect(() => finishSequence(finished as unknown as WaitingSequence, 'abort')).toThrow(
      TypeError,
    );
  });

  it('cannot be preempted while it waits', () => {
    const waiting = admitSequence(request(), 0);
    expect(() => preemptSequence(waiting as unknown as RunningSequence)).toThrow(TypeError);
  });

  it.each([
    { output: [3], ignoreEos: false, reason: undefined },
    { output: [2], ignoreEos: false, reason: 'stop' },
    { output: [2], ignoreEos: true, reason: undefined },
    { output: [2, 3], ignoreEos: true, reason: 'length' },
    { output: [3, 1], ignoreEos: false, reason: 'stop' },
    { output: [3, 3], ignoreEos: false, reason: 'length' },
  ])(
    'after $output with ignoreEos $ignoreEos ends with $reason',
    ({ output, ignoreEos, reason }) => {
      const running = startSequence(admitSequence(request({ ignoreEos }), 0));
      expect(output.map((token) => running.append(token, 0)).at(-1)).toBe(reason);
    },
  );
});
