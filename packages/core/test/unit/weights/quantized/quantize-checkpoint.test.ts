import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildModelGraph } from '../../../../src/families/registry.js';
import { referenceBackend } from '../../../../src/reference/reference-backend.js';
import { microBatch } from '../../../../src/testing/backend/micro-batch.js';
import { openColocated } from '../../../../src/testing/backend/run-colocated.js';
import { checkWeights, requiredWeights } from '../../../../src/weights/checkpoint/check-weights.js';
import { openCheckpoint } from '../../../../src/weights/checkpoint/checkpoint.js';
import { quantizationPlan } from '../../../../src/weights/quantized/quantization-plan.js';
import { quantizeCheckpoint } from '../../../../src/weights/quantized/quantize-checkpoint.js';
import { quantizedWeightSource } from '../../../../src/weights/quantized/quantized-weight-source.js';
import {
  makeRandomCheckpoint,
  type RandomCheckpointOptions,
} from '../../../../src/weights/random/random-checkpoint.js';
import { randomConfig } from '../../../../src/weights/random/random-config.js';
import { readF32 } from '../../../../src/weights/safetensors/read-f32.js';

let dir = '';
const at = (name: string): string => join(dir, name);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-quantize-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const mixtral: RandomCheckpointOptions = {
  family: 'mixtral',
  hidden: 64,
  layers: 2,
  experts: 3,
  topK: 2,
  expertWidth: 96,
  heads: 4,
  kvHeads: 2,
  vocab: 300,
  seed: 11,
};
const qwen3Moe: RandomCheckpointOptions = {
  ...mixtral,
  family: 'qwen3-moe',
  headSize: 32,
  tied: true,
  mlpOnlyLayers: [0],
  attentionBias: true,
};

const cases = [mixtral, qwen3Moe].flatMap((options) =>
  (['int8', 'int4'] as const).map((format) => ({ options, format, family: options.family })),
);

describe('quantizeCheckpoint', () => {
  it.each(cases)('writes a $family in $format that opens and fits its graph', async (one) => {
    const { options, format } = one;
    await makeRandomCheckpoint(at('in'), options);
    const done: number[] = [];
    const report = await quantizeCheckpoint(at('in'), at('out'), {
      format,
      shardBytesMax: 20_000,
      onProgress: ({ bytesDone, bytesTotal }) => done.push(bytesDone / bytesTotal),
    });
    expect(done.at(-1)).toBe(1);
    expect(readdirSync(at('out'))).toContain('model.safetensors.index.json');
    const { config, weights } = openCheckpoint(at('out'));
    const model = buildModelGraph(config);
    checkWeights(model, weights);

    const plain = openCheckpoint(at('in')).weights;
    const plan = quantizationPlan(model, { format });
    expect(report).toMatchObject({ family: options.family, quantizedTensors: plan.size });
    const memory = quantizedWeightSource(plain, model, { format });
    for (const { name, shape } of requiredWeights(model)) {
      const stored = weights.locate(name, shape);
      expect(stored.dtype).toBe({ 8: 'I8', 4: 'I4', 0: 'BF16' }[plan.get(name)?.bits ?? 0]);
      const found = readF32(weights, stored);
      expect(found).toEqual(readF32(memory, memory.locate(name, shape)));
      const wanted = readF32(plain, plain.locate(name, shape));
      const largest = found.reduce(
        (most, w, i) => Math.max(most, Math.abs(w - (wanted[i] ?? NaN))),
        0,
      );
      expect(largest).toBeLessThanOrEqual(report.largestError * (1 + 1e-6));
    }
    expect(report.bytesAfter / report.bytesBefore).toBeLessThan(format === 'int8' ? 0.75 : 0.6);
  });

  it('quantizes linears and experts, an LM head of its own to 8 bits, and nothing else', () => {
    const names = (options: RandomCheckpointOptions, format: 'int8' | 'int4') => {
      const model = buildModelGraph(randomConfig(options));
      const plan = quantizationPlan(model, { format });
      const kept = requiredWeights(model).flatMap(({ name }) => (plan.has(name) ? [] : [name]));
      return { plan, kinds: new Set(kept.map((name) => name.replace(/\.\d+\./g, '.N.'))) };
    };
    const { plan, kinds } = names(mixtral, 'int4');
    expect(plan.get('lm_head.weight')).toEqual({ bits: 8 });
    expect(plan.get('model.layers.1.self_attn.o_proj.weight')).toEqual({ bits: 4, groupSize: 32 });
    expect(kinds).toEqual(
      new Set([
        'model.embed_tokens.weight',
        'model.layers.N.input_layernorm.weight',
        'model.layers.N.post_attention_layernorm.weight',
        'model.layers.N.block_sparse_moe.gate.weight',
        'model.norm.weight',
      ]),
    );
    const tied = names(qwen3Moe, 'int8');
    expect(tied.plan.has('model.embed_tokens.weight')).toBe(false);
    expect(tied.plan.get('model.layers.0.mlp.down_proj.weight')).toEqual({ bits: 8 });
    expect(tied.kinds).toContain('model.layers.N.self_attn.q_proj.bias');
  });

  it('gives the same bytes again, and copies what the text needs', async () => {
    await makeRandomCheckpoint(at('in'), mixtral);
    writeFileSync(at('in/README.md'), 'Of the other weights.');
    writeFileSync(at('in/LICENSE'), 'Free.');
    mkdirSync(at('in/tokenizer.json.d'));
    for (const name of ['a', 'b']) await quantizeCheckpoint(at('in'), at(name), { format: 'int4' });
    expect(readdirSync(at('a')).toSorted()).toEqual([
      'LICENSE',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    for (const name of readdirSync(at('a'))) {
      expect(readFileSync(at(`a/${name}`)).equals(readFileSync(at(`b/${name}`)))).toBe(true);
    }
  });

  it('computes on the reference backend what its dequantized weights give', async () => {
    await makeRandomCheckpoint(at('in'), mixtral);
    const plain = openCheckpoint(at('in'));
    const model = buildModelGraph(plain.config);
    const backend = await referenceBackend.create();
    const logits = async (weights: typeof plain.weights): Promise<Float32Array> => {
      const colocated = await openColocated({ backend, model, weights });
      const sequence = { tokenIds: [5, 9, 2, 31], firstPosition: 0, kvPages: [0] };
      return colocated.run(microBatch({ sequences: [sequence] }));
    };
    const exact = await logits(plain.weights);
    const distances: number[] = [];
    for (const format of ['int8', 'int4'] as const) {
      await quantizeCheckpoint(at('in'), at(format), { format });
      const found = await logits(openCheckpoint(at(format)).weights);
      expect(found).toEqual(await logits(quantizedWeightSource(plain.weights, model, { format })));
      distances.push(
        Math.hypot(...found.map((logit, i) => logit - (exact[i] ?? NaN))) / Math.hypot(...exact),
      );
    }
    backend.close();
    const [int8 = 1, int4 = 1] = distances;
    expect(int8).toBeGreaterThan(0);
    expect(int8).toBeLessThan(0.05);
    expect(int4).toBeGreaterThan(2 * int8);
    expect(int4).toBeLessThan(0.6);
  });

  it('takes a group size that divides every row, and refuses others by tensor', async () => {
    await makeRandomCheckpoint(at('in'), mixtral);
    await quantizeCheckpoint(at('in'), at('fine'), { format: 'int8', groupSize: 16 });
    const { weights } = openCheckpoint(at('fine'));
    expect(weights.tensors.get('model.layers.0.self_attn.q_proj.weight')?.scales?.shape).toEqual([
      64, 4,
    ]);
    const bad = quantizeCheckpoint(at('in'), at('out'), { format: 'int4', groupSize: 64 });
    await expect(bad).rejects.toMatchObject({
      code: 'ERR_CONFIG_FIELD',
      message: expect.stringMatching(/w2\.weight \[64, 96\].*groups of 64.*divides 96/) as string,
    });
    await expect(
      quantizeCheckpoint(at('in'), at('out'), { format: 'int4', groupSize: 0.5 }),
    ).rejects.toMatchObject({ code: 'ERR_CONFIG_FIELD' });
  });

  it('refuses a quantized model, a directory that holds something, and an unknown family', async () => {
    await makeRandomCheckpoint(at('in'), mixtral);
    await quantizeCheckpoint(at('in'), at('once'), { format: 'int8' });
    const twice = quantizeCheckpoint(at('once'), at('twice'), { format: 'int4' });
    await expect(twice).rejects.toThrow('is quantized already');
    const full = quantizeCheckpoint(at('in'), at('once'), { format: 'int8' });
    await expect(full).rejects.toThrow('expected a new or empty directory');
    const config = JSON.parse(readFileSync(at('in/config.json'), 'utf8')) as object;
    writeFileSync(at('in/config.json'), JSON.stringify({ ...config, architectures: ['Other'] }));
    await expect(
      quantizeCheckpoint(at('in'), at('twice'), { format: 'int8' }),
    ).rejects.toMatchObject({
      code: 'ERR_ARCHITECTURE_UNKNOWN',
    });
    expect(readdirSync(dir).toSorted()).toEqual(['in', 'once']);
  });

  it('names the tensor that holds no finite number, and leaves no config.json', async () => {
    await makeRandomCheckpoint(at('in'), mixtral);
    const name = 'model.layers.1.self_attn.v_proj.weight';
    const { file = '', byteOffset = 0 } = openCheckpoint(at('in')).weights.tensors.get(name) ?? {};
    const bytes = readFileSync(file);
    bytes.writeUInt16LE(0x7fc0, byteOffset + 20);
    writeFileSync(file, bytes);
    await expect(quantizeCheckpoint(at('in'), at('out'), { format: 'int4' })).rejects.toMatchObject(
      {
        code: 'ERR_CHECKPOINT_CORRUPT',
        details: { tensor: name },
      },
    );
    expect(readdirSync(at('out'))).toEqual([]);
  });
});
