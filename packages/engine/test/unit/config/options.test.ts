import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../src/config/options.js';
import { resolveOptions } from '../../../src/config/resolve-options.js';
import { shareCores } from '../../../src/config/share-cores.js';

const sizes = {
  layerCount: 16,
  hiddenSize: 1024,
  vocabSize: 32000,
  headCount: 16,
  kvHeadCount: 4,
  headSize: 64,
  expertCount: 16,
  topK: 2,
  expertWidth: 1792,
  positionsMax: 4096,
};

describe('parseOptions', () => {
  it.each([
    [{ microBatches: 0 }, 'microBatches'],
    [{ microBatches: 9 }, 'microBatches'],
    [{ attentionWorkers: 1.5 }, 'attentionWorkers'],
    [{ kvPageSize: 24 }, 'kvPageSize'],
    [{ spinUs: -1 }, 'spinUs'],
    [{ gather: { type: 'sometimes' } }, 'gather'],
    [{ emulatedLink: { latencyUs: -1 } }, 'emulatedLink.latencyUs'],
    [{ emulatedLink: { latencyUs: 1, gbps: 25 } }, 'emulatedLink'],
    [{ emulatedLink: { latencyUs: 1 }, colocated: true }, 'emulatedLink'],
  ])('refuses %j and names the option', (options, path) => {
    expect(() => parseOptions(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_FIELD' }),
    );
    expect(() => parseOptions(options as never)).toThrow(path);
  });

  it('refuses an option it does not know', () => {
    expect(() => parseOptions({ atentionWorkers: 2 } as never)).toThrow(/atentionWorkers/);
  });
});

describe('resolveOptions', () => {
  const resolve = (
    options: Parameters<typeof parseOptions>[0],
  ): ReturnType<typeof resolveOptions> => resolveOptions(parseOptions(options), sizes);

  it.each([
    // 1 + 1 workers on 2 cores: 2 + 2 threads that take turns.
    [{}, 2, 2, 2, 'layer', true],
    [{ threads: 1 }, 2, 1, 1, 'lockstep', false],
    [{ gather: { type: 'lockstep' } }, 2, 1, 1, 'lockstep', false],
    [{ gather: { type: 'layer' }, threads: 1 }, 2, 1, 1, 'layer', false],
    [{ attentionWorkers: 2, expertWorkers: 4 }, 16, 8, 4, 'layer', true],
    [{ attentionWorkers: 2, expertWorkers: 4 }, 2, 1, 1, 'layer', true],
    // Bound threads would crowd the first cores.
    [{ threads: 3 }, 4, 3, 3, 'layer', false],
    [{ colocated: true }, 8, 8, 8, 'lockstep', false],
    [{ colocated: true, bindThreads: true }, 8, 8, 8, 'lockstep', true],
    [{ bindThreads: false }, 8, 8, 8, 'layer', false],
  ] as const)(
    'shares the cores: %j on %i',
    (options, cores, attentionThreads, expertThreads, gather, bindThreads) => {
      expect(shareCores(parseOptions(options), cores)).toMatchObject({
        attentionThreads,
        expertThreads,
        gather: { type: gather },
        bindThreads,
      });
    },
  );

  it('has one micro-batch where nothing overlaps', () => {
    expect(resolve({ colocated: true }).microBatches).toBe(1);
    expect(resolve({}).microBatches).toBe(2);
    expect(resolve({ colocated: true, microBatches: 3 }).microBatches).toBe(3);
  });

  it('takes no more pages than the memory holds', () => {
    const { kvPages, kvPageSize, maxModelLen } = resolve({ kvMemoryBytes: 1 << 24 });
    const tokenBytes = 4 * sizes.layerCount * sizes.kvHeadCount * sizes.headSize;
    expect(kvPages * kvPageSize * tokenBytes).toBeLessThanOrEqual(1 << 24);
    expect(maxModelLen).toBe(kvPages * kvPageSize);
  });

  it('takes no more pages than all running sequences can use', () => {
    expect(resolve({ maxNumSeqs: 2, maxModelLen: 160 }).kvPages).toBe(20);
  });

  it('never lets a sequence outgrow the model', () => {
    expect(resolve({ maxModelLen: 10_000 }).maxModelLen).toBe(sizes.positionsMax);
  });

  it('divides a step over the micro-batches without losing a token', () => {
    const { tokensPerMicroBatchMax, maxNumBatchedTokens } = resolve({
      microBatches: 3,
      maxNumBatchedTokens: 100,
    });
    expect(tokensPerMicroBatchMax * 3).toBeGreaterThanOrEqual(maxNumBatchedTokens);
  });

  it.each([
    [{ expertWorkers: 17 }, /17 expert workers for 16 experts/],
    [{ expertWorkers: 2, expertReplicas: 3 }, /3 replicas of every expert on 2 expert workers/],
    [{ expertWorkers: 2, expertReplicas: 2, combine: 'expert' }, /combine/],
  ] as const)('refuses %j, colocated excepted', (options, message) => {
    expect(() => resolve(options)).toThrow(message);
    expect(() => resolve({ ...options, colocated: true })).not.toThrow();
  });

  it('runs no more sequences than a step has tokens', () => {
    expect(resolve({ maxNumBatchedTokens: 8 }).maxNumSeqs).toBe(8);
  });
});
