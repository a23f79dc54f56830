import { microBatchIndex } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { StepCursor } from '../../../src/attention/step-cursor.js';

const microBatches = (...indices: number[]) => indices.map(microBatchIndex);

describe('StepCursor', () => {
  it('goes layer by layer, and in a layer by micro-batch, and always knows the next place', () => {
    const cursor = new StepCursor(2, 4);
    cursor.begin(5, microBatches(0, 2, 3));
    const places: string[] = [];
    const announced: string[] = [];
    const next = { step: 0, layer: 0, microBatch: 0 };
    while (!cursor.ended) {
      places.push(Object.values(cursor.position).join('.'));
      cursor.peekNext(next);
      announced.push(Object.values(next).join('.'));
      cursor.advance();
    }
    expect(places).toEqual(['5.0.0', '5.0.2', '5.0.3', '5.1.0', '5.1.2', '5.1.3']);
    expect(announced).toEqual([...places.slice(1), '6.0.0']);
  });

  it('begins a step anywhere in another', () => {
    const cursor = new StepCursor(3, 2);
    cursor.begin(1, microBatches(0, 1));
    cursor.advance();
    cursor.begin(7, microBatches(1));
    expect(cursor.position).toEqual({ step: 7, layer: 0, microBatch: 1 });
    cursor.advance();
    expect(cursor.position).toEqual({ step: 7, layer: 1, microBatch: 1 });
    expect(cursor.ended).toBe(false);
  });

  it.each([[[]], [[1, 0]], [[1, 1]], [[2]], [[-1]], [[0.5, 0.7]]])('refuses %j', (indices) => {
    const cursor = new StepCursor(1, 2);
    expect(() => {
      cursor.begin(1, microBatches(...indices));
    }).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
    expect(cursor.ended).toBe(true);
  });
});
