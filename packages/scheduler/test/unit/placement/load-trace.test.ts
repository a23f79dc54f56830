import { MegascaleError } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  LoadTraceReader,
  LoadTraceWriter,
  loadTraceFormat,
  totalLoads,
  zipfTrace,
  type LoadTraceHeader,
  type LoadWindow,
} from '../../../src/index.js';

interface Trace {
  readonly header: LoadTraceHeader;
  readonly windows: readonly LoadWindow[];
}

const traces: fc.Arbitrary<Trace> = fc
  .record({
    layerCount: fc.integer({ min: 1, max: 4 }),
    expertCount: fc.integer({ min: 1, max: 9 }),
  })
  .chain((sizes) => {
    const cells = sizes.layerCount * sizes.expertCount;
    const count = fc.oneof(fc.constant(0), fc.nat(200), fc.nat(loadTraceFormat.rowsMax));
    const window = fc.record({
      durationUs: fc.nat(2 ** 40),
      dispatches: fc.nat(1000),
      rows: fc
        .array(count, { minLength: cells, maxLength: cells })
        .map((rows) => Int32Array.from(rows)),
    });
    return fc.record({
      header: fc.constant({ ...sizes, topK: 1 }),
      windows: fc
        .array(window, { maxLength: 5 })
        .map((list) => list.map((each, index) => ({ ...each, startUs: index * 2 ** 41 }))),
    });
  });

function encoded({ header, windows }: Trace): Uint8Array {
  const writer = new LoadTraceWriter(header);
  const parts = [writer.header(), ...windows.map((window) => writer.window(window).slice())];
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function decoded(bytes: Uint8Array): Trace & { readonly truncated: boolean } {
  const reader = new LoadTraceReader(bytes);
  const windows = [...copies(reader.windows())];
  return { header: reader.header, windows, truncated: reader.truncated };
}

function* copies(windows: Iterable<LoadWindow>): Generator<LoadWindow, void> {
  for (const window of windows) yield { ...window, rows: window.rows.slice() };
}

describe('a load trace', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(traces, (trace) => {
        expect(decoded(encoded(trace))).toEqual({ ...trace, truncated: false });
      }),
    );
  });

  it('is, to the byte, what the documentation draws', () => {
    const rows = Int32Array.of(1, 0, 0, 300, 0, 0, 0, 0);
    const header = { layerCount: 2, expertCount: 4, topK: 2 };
    const window = { startUs: 5, durationUs: 200, dispatches: 3, rows };
    const bytes = encoded({ header, windows: [window] });
    expect([...bytes.subarray(0, 20)]).toEqual([
      ...[0x4d, 0x53, 0x45, 0x4c, 1, 0, 32, 0],
      ...[2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0],
    ]);
    // Length; start, duration, micro-batches; layer 0: 1, two zeros, 300; layer 1: four zeros.
    expect([...bytes.subarray(32)]).toEqual([
      ...[11, 5, 200 - 128 + 128, 1, 3],
      ...[1, 0, 1, 300 - 256 + 128, 2, 0, 3],
    ]);
  });

  it('that is cut off gives its whole windows, and says so', () => {
    fc.assert(
      fc.property(traces, fc.nat(200), (trace, cut) => {
        const bytes = encoded(trace);
        const length = Math.max(loadTraceFormat.headerBytes, bytes.length - cut);
        const { windows, truncated } = decoded(bytes.subarray(0, length));
        expect(windows).toEqual(trace.windows.slice(0, windows.length));
        const whole = encoded({ ...trace, windows }).length;
        expect(truncated).toBe(whole !== length);
      }),
    );
  });

  it('of any bytes is read, or refused with ERR_TRACE_CORRUPT', () => {
    const header = new LoadTraceWriter({ layerCount: 3, expertCount: 5, topK: 1 }).header();
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 80 }).map((tail) => Uint8Array.from([...header, ...tail])),
      fc.tuple(traces, fc.nat(), fc.nat(255)).map(([trace, at, byte]) => {
        const bytes = encoded(trace);
        bytes[at % bytes.length] = byte;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          const { header: sizes, windows } = decoded(bytes);
          for (const { rows, dispatches, startUs } of windows) {
            expect(rows.length).toBe(sizes.layerCount * sizes.expertCount);
            expect(Math.min(...rows, dispatches, startUs)).toBeGreaterThanOrEqual(0);
            expect(Number.isSafeInteger(startUs)).toBe(true);
          }
        } catch (error) {
          expect(MegascaleError.isInstance(error) && error.code).toBe('ERR_TRACE_CORRUPT');
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses sizes that nobody would allocate', () => {
    const header = { layerCount: 1024, expertCount: 4096, topK: 1 };
    expect(() => new LoadTraceWriter(header)).toThrow('layers × experts');
  });
});

describe('zipfTrace', () => {
  const options = {
    layerCount: 2,
    expertCount: 8,
    topK: 2,
    exponent: 1.2,
    seed: 3,
    swapsPerWindow: 1.5,
    windows: 4,
    dispatchesPerWindow: 5,
    tokensPerDispatch: 64,
    windowUs: 1000,
  };

  it('is the same for the same seed, and another for another', () => {
    const trace = [...copies(zipfTrace(options))];
    expect([...copies(zipfTrace(options))]).toEqual(trace);
    expect([...copies(zipfTrace({ ...options, seed: 4 }))]).not.toEqual(trace);
  });

  it('gives each token distinct experts, so none gets more than every token', () => {
    for (const { rows, dispatches } of zipfTrace(options)) {
      expect(rows.reduce((sum, count) => sum + count, 0)).toBe(2 * 5 * 64 * 2);
      expect(Math.max(...rows)).toBeLessThanOrEqual(dispatches * 64);
    }
  });

  it('follows the law: the r-th expert has r^-exponent of the first', () => {
    const many = { ...options, topK: 1, layerCount: 1, swapsPerWindow: 0, tokensPerDispatch: 4096 };
    const { rows } = totalLoads(many, zipfTrace(many));
    const falling = Array.from(rows).sort((a, b) => b - a);
    const [first = 0, second = 0, , fourth = 0] = falling;
    expect(second / first).toBeCloseTo(2 ** -1.2, 1);
    expect(fourth / first).toBeCloseTo(4 ** -1.2, 1);
  });
});
