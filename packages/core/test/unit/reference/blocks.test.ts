import { describe, expect, it } from 'vitest';
import * as blocks from '../../../src/reference/blocks.js';

const f32 = (...values: number[]): Float32Array => Float32Array.from(values);

describe('blocks', () => {
  it('embed copies rows of the table', () => {
    const table = f32(1, 2, 3, 4, 5, 6);
    expect(blocks.embed(Int32Array.of(2, 0, 2), table, 2)).toEqual(f32(5, 6, 1, 2, 5, 6));
  });

  it('rmsNorm divides each row by its root mean square', () => {
    // Means of squares: (9 + 16) / 2 = 12.5, and 2 with epsilon 2 making 4.
    expect(blocks.rmsNorm(f32(3, 4), f32(1, 2), 0)).toEqual(
      f32(3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)),
    );
    expect(blocks.rmsNorm(f32(2, 0, 0, 2), f32(1, 10), 2)).toEqual(f32(1, 0, 0, 10));
  });

  it('linear multiplies rows by rows of the weight, and adds the bias', () => {
    const [x, weight] = [f32(1, 2, 3, 4), f32(1, 0, 0, 1, 1, 1)];
    expect(blocks.linear(x, weight, 2)).toEqual(f32(1, 2, 3, 3, 4, 7));
    expect(blocks.linear(x, weight, 2, f32(10, 20, 30))).toEqual(f32(11, 22, 33, 13, 24, 37));
  });

  it('rope turns pairs half a head apart, by the position times the pair’s frequency', () => {
    // Head size 4, theta 100: frequencies 1 and 0.1; two heads.
    const x = f32(1, 1, 0, 0, 0, 2, 0, 0);
    const turned = blocks.rope(x, Int32Array.of(3), { headSize: 4, theta: 100 });
    const expected = [Math.cos(3), Math.cos(0.3), Math.sin(3), Math.sin(0.3)];
    [...turned.subarray(0, 4)].forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 6);
    });
    expect(turned[5]).toBeCloseTo(2 * Math.cos(0.3), 6);
    expect(turned[7]).toBeCloseTo(2 * Math.sin(0.3), 6);
    expect(blocks.rope(x, Int32Array.of(0), { headSize: 4, theta: 100 })).toEqual(x);
  });

  it('attendHead weighs values by the softmax of scaled products, over the seen positions only', () => {
    // Products with positions 1 and 2 are 2·ln 3 and 0, scaled to ln 3 and 0: shares 3/4 and 1/4.
    // Position 0 is out of sight.
    const keys = f32(1000, 0, Math.log(3), 0, 0, 1);
    const values = f32(1000, 1000, 4, 8, 0, 4);
    const seen = { keys, values, offsetOf: (position: number) => 2 * position, first: 1, last: 2 };
    const out = new Float32Array(4);
    blocks.attendHead(f32(0, 0, 2, 0), seen, { start: 2, headSize: 2, scale: 0.5 }, out);
    expect([out[0], out[1]]).toEqual([0, 0]);
    expect(out[2]).toBeCloseTo(3, 5);
    expect(out[3]).toBeCloseTo(7, 5);
  });

  it('attendHead stands scores that overflow an exponential', () => {
    const keys = f32(5000, 5000);
    const seen = { keys, values: f32(2, 4), offsetOf: (p: number) => p, first: 0, last: 1 };
    const out = new Float32Array(1);
    blocks.attendHead(f32(1), seen, { start: 0, headSize: 1, scale: 1 }, out);
    expect(out[0]).toBe(3);
  });

  it('swiglu is silu of the gate times up', () => {
    expect(blocks.swiglu(f32(0, 1000, -1000), f32(5, 2, 3))).toEqual(f32(0, 2000, -0));
    expect(blocks.swiglu(f32(1), f32(2))[0]).toBeCloseTo(2 / (1 + Math.exp(-1)), 6);
  });

  it('addTo adds in place', () => {
    const into = f32(1, 2);
    blocks.addTo(into, f32(10, 20));
    expect(into).toEqual(f32(11, 22));
  });
});

describe('route', () => {
  /** Logits are the weight's rows times x = 1. */
  const routeBy = (
    logits: number[],
    options: Partial<Parameters<typeof blocks.route>[2]> = {},
  ): { ids: number[]; weights: number[] } => {
    const { expertIds, weights } = blocks.route(f32(1), f32(...logits), {
      experts: logits.length,
      topK: 2,
      score: 'softmax',
      renormalize: false,
      scale: 1,
      ...options,
    });
    return { ids: [...expertIds], weights: [...weights] };
  };

  it('takes the best experts in falling order, with their shares of all', () => {
    // e^logit = 1, 4, 2, 1: shares of 8.
    const { ids, weights } = routeBy([0, Math.log(4), Math.log(2), 0]);
    expect(ids).toEqual([1, 2]);
    expect(weights[0]).toBeCloseTo(0.5, 6);
    expect(weights[1]).toBeCloseTo(0.25, 6);
  });

  it('renormalizes to a sum of one, then scales', () => {
    const { weights } = routeBy([0, Math.log(4), Math.log(2), 0], { renormalize: true, scale: 3 });
    expect(weights[0]).toBeCloseTo(2, 6);
    expect(weights[1]).toBeCloseTo(1, 6);
  });

  it('prefers the lower id among equals', () => {
    expect(routeBy([1, 2, 2, 2]).ids).toEqual([1, 2]);
    expect(routeBy([3, 3, 3, 3], { topK: 3 }).ids).toEqual([0, 1, 2]);
  });

  it('scores each expert alone with sigmoid', () => {
    const { ids, weights } = routeBy([0, 1000, -1000], { score: 'sigmoid' });
    expect(ids).toEqual([1, 0]);
    expect(weights).toEqual([1, 0.5]);
  });
});

describe('experts', () => {
  it('expertFeedForward is down of silu(gate) times up', () => {
    // Hidden 2, width 1: gate = 1000 (silu leaves it), up = 3, down = (1, 2).
    const expert = { gate: f32(1000, 0), up: f32(0, 3), down: f32(1, 2) };
    expect(blocks.expertFeedForward(f32(1, 1), expert, 2)).toEqual(f32(3000, 6000));
  });

  it('combine adds weighted answers in ascending k, and leaves out experts that are none', () => {
    const residual = f32(100, 200);
    const routes = {
      expertIds: Int32Array.of(5, -1),
      weights: f32(0.5, 9),
      answers: f32(2, 4, NaN, NaN),
    };
    blocks.combine(residual, routes, { tokens: 1, topK: 2, hidden: 2 });
    expect(residual).toEqual(f32(101, 202));
  });

  it('combine rounds every step to f32: the order of k shows', () => {
    const sum = (answers: Float32Array): number => {
      const residual = f32(0);
      const expertIds = Int32Array.of(0, 1, 2);
      const routes = { expertIds, weights: f32(1, 1, 1), answers };
      blocks.combine(residual, routes, { tokens: 1, topK: 3, hidden: 1 });
      return residual[0] as number;
    };
    // 2^25 swallows a 1 in f32.
    expect(sum(f32(2 ** 25, 1, -(2 ** 25)))).toBe(0);
    expect(sum(f32(2 ** 25, -(2 ** 25), 1))).toBe(1);
  });
});
