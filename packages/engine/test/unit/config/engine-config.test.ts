import { describe, expect, it } from 'vitest';
import { coordinatorOptions, engineConfigSchema } from '../../../src/config/engine-config.js';
import { optionMeta } from '../../../src/config/option.js';
import { llmOptionGroups, llmOptionsSchema, parseOptions } from '../../../src/config/options.js';
import { resolveOptions } from '../../../src/config/resolve-options.js';

const sizes = {
  layerCount: 2,
  hiddenSize: 64,
  vocabSize: 300,
  headCount: 4,
  kvHeadCount: 2,
  headSize: 16,
  expertCount: 8,
  topK: 2,
  expertWidth: 32,
  positionsMax: 256,
};

describe('every option', () => {
  const names = Object.keys(llmOptionsSchema.shape);

  it('is in one group, and described', () => {
    const grouped = llmOptionGroups.flatMap(({ shape }) => Object.keys(shape));
    expect(grouped.sort()).toEqual([...names].sort());
    for (const schema of Object.values(llmOptionsSchema.shape)) {
      expect(optionMeta(schema)?.help).toMatch(/^\S.{5,110}[^.]$/);
    }
  });

  it('goes to the workers, unless only the coordinator reads it', () => {
    const wire = Object.keys(engineConfigSchema.shape);
    const missing = names.filter((name) => !wire.includes(name));
    expect(missing.sort()).toEqual(Object.keys(coordinatorOptions).sort());
  });

  it('passes to the workers as it was given, where nothing has to be resolved', () => {
    const given = { policyTimeMs: 77, peerTimeoutMs: 1234, combine: 'expert' as const };
    const config = resolveOptions(parseOptions({ ...given, name: 'x', threads: 1 }), sizes);
    expect(config).toMatchObject(given);
    expect(engineConfigSchema.parse(config)).toEqual(config);
  });
});
