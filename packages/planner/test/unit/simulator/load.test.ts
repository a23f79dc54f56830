import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawRequests, type Arrivals } from '../../../src/simulator/load/requests.js';
import { meanLength, paperLengths } from '../../../src/simulator/load/token-lengths.js';
import { parseRequestTrace } from '../../../src/simulator/load/request-trace.js';
import { QuantileSketch } from '../../../src/simulator/quantile-sketch.js';
import { RandomStream } from '../../../src/simulator/random-stream.js';

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
const deviation = (values: readonly number[]) => {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
};

describe('a random stream', () => {
  const draw = (count: number, next: () => number) => Array.from({ length: count }, next);

  it('is the same for the same seed, and another for another seed or number', () => {
    const first = (seed: number, stream = 0) => {
      const random = new RandomStream(seed, stream);
      return draw(4, () => random.bits());
    };
    expect(first(7)).toEqual(first(7));
    expect(new Set([first(7), first(8), first(7, 1), first(7 + 2 ** 40)].map(String)).size).toBe(4);
  });

  it('has the means and deviations of its distributions', () => {
    const random = new RandomStream(3);
    const normal = draw(40_000, () => random.normal());
    expect(mean(normal)).toBeCloseTo(0, 1);
    expect(deviation(normal)).toBeCloseTo(1, 1);
    expect(mean(draw(40_000, () => random.exponential()))).toBeCloseTo(1, 1);
    for (const shape of [0.1, 1, 9]) {
      const gamma = draw(40_000, () => random.gamma(shape));
      expect(mean(gamma) / shape).toBeCloseTo(1, 1);
      expect(deviation(gamma) / Math.sqrt(shape)).toBeCloseTo(1, 1);
    }
  });
});

describe('drawn requests', () => {
  const workload = (arrivals: Arrivals) => ({
    requestsPerSecond: 50,
    durationS: 400,
    seed: 5,
    arrivals,
    lengths: paperLengths,
  });

  it.each([
    { arrivals: { type: 'poisson' } as const, variation: 1 },
    { arrivals: { type: 'bursty', coefficientOfVariation: 3 } as const, variation: 3 },
  ])('come at the rate and as evenly as wanted: $arrivals.type', ({ arrivals, variation }) => {
    const requests = [...drawRequests(workload(arrivals))];
    const gaps = requests
      .slice(1)
      .map(({ arrivalUs }, i) => arrivalUs - (requests[i]?.arrivalUs ?? 0));
    expect(requests.length / 400 / 50).toBeCloseTo(1, 1);
    expect(deviation(gaps) / mean(gaps) / variation).toBeCloseTo(1, 1);
    expect(gaps.every((gap) => gap >= 0)).toBe(true);
  });

  it('have the medians of the paper', () => {
    const requests = [...drawRequests(workload({ type: 'poisson' }))];
    const prompts = requests.map(({ promptTokens }) => promptTokens).sort((a, b) => a - b);
    const outputs = requests.map((each) => each.outputTokens).sort((a, b) => a - b);
    expect((prompts[prompts.length >> 1] ?? 0) / 571).toBeCloseTo(1, 1);
    expect((outputs[outputs.length >> 1] ?? 0) / 159).toBeCloseTo(1, 1);
    expect(mean(outputs) / meanLength(paperLengths.output)).toBeCloseTo(1, 1);
  });

  it('are refused beyond what a simulation takes', () => {
    const wanted = { ...workload({ type: 'poisson' }), durationS: 1e6 };
    expect(() => [...drawRequests(wanted)]).toThrow(/at most/);
  });
});

describe('a request trace', () => {
  const requests = [
    { arrivalUs: 0, promptTokens: 571, outputTokens: 159 },
    { arrivalUs: 250_000, promptTokens: 12, outputTokens: 1 },
  ];

  it('is read from JSON lines and from CSV', () => {
    const lines = `# recorded
{"arrivalS": 0, "promptTokens": 571, "outputTokens": 159}

{"arrivalS": 0.25, "promptTokens": 12, "outputTokens": 1, "user": "x"}`;
    expect(parseRequestTrace(lines)).toEqual(requests);
    const csv = 'outputTokens, arrivalS,promptTokens,user\r\n159,0,571,a\r\n1,2.5e-1,12,b\r\n';
    expect(parseRequestTrace(csv)).toEqual(requests);
  });

  it.each([
    ['{"arrivalS": 0, "promptTokens": 571}', 1],
    ['{"arrivalS": null, "promptTokens": 1, "outputTokens": 1}', 1],
    ['{"arrivalS": 1, "promptTokens": 1.5, "outputTokens": 1}', 1],
    ['arrivalS,promptTokens,outputTokens\n,1,1', 2],
    ['arrivalS,promptTokens,outputTokens\n2,1,1\n1,1,1', 3],
    ['{"arrivalS": 0, ', 1],
    [`{"arrivalS": 0, "x": "${'x'.repeat(2000)}"}`, 1],
    ['', 0],
  ])('names the line that cannot be: %s', (text, line) => {
    expect(() => parseRequestTrace(text)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_FIELD',
        details: { path: 'arrivals', line },
      }) as Error,
    );
  });

  it('takes any text without another error', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        try {
          parseRequestTrace(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_CONFIG_FIELD' });
        }
      }),
    );
  });
});

it('a sketch knows quantiles to 0.4 %, whatever the values', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.002, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, part) => {
        const sketch = new QuantileSketch();
        for (const value of values) sketch.add(value);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(part * values.length)) - 1] ?? 0;
        expect(Math.abs(sketch.quantile(part) / exact - 1)).toBeLessThan(0.004);
        expect(sketch.mean).toBeCloseTo(mean(values), 3);
      },
    ),
  );
});
