import { z } from 'zod';
import { ConfigError } from '../../errors.js';
import type { QuantizedForm } from './quantize-groups.js';

/** The forms in which config.json says matrices are quantized. */
export type QuantizedForms = readonly QuantizedForm[];

const storageOf = { 8: 'int-quantized', 4: 'pack-quantized' } as const;

/** How the weights of one config group are quantized, in the words of compressed-tensors. */
const weightScheme = z
  .object({
    num_bits: z.literal([4, 8]),
    type: z.literal('int').default('int'),
    symmetric: z.literal(true).default(true),
    strategy: z.enum(['channel', 'group']).nullish(),
    group_size: z.int().nullish(),
    dynamic: z.literal(false).nullish(),
    // 'weight' and 'static' moved no column: only the order of quantizing was another.
    actorder: z.literal([false, 'weight', 'static']).nullish(),
    block_structure: z.null().optional(),
  })
  .transform(({ num_bits: bits, strategy, group_size: size }, context): QuantizedForm => {
    const groups = strategy === 'group' || (strategy == null && size != null && size > 0);
    if (groups && (size == null || size < 1)) {
      context.addIssue({ code: 'custom', path: ['group_size'], message: 'expected 1 or more' });
      return z.NEVER;
    }
    if (!groups && strategy == null && size !== -1) {
      context.addIssue({
        code: 'custom',
        path: ['strategy'],
        message: 'expected channel or group',
      });
      return z.NEVER;
    }
    return groups && size != null ? { bits, groupSize: size } : { bits };
  });

/**
 * Rounded where they are used, if at all: how is up to the backend, and nothing of it is stored.
 */
const activationScheme = z.object({
  num_bits: z.literal(8),
  type: z.literal('int').default('int'),
  dynamic: z.literal(true),
});

const storage = z.literal([storageOf[8], storageOf[4]]);

const schema = z
  .object({
    quant_method: z.literal('compressed-tensors'),
    format: z.literal([storageOf[8], storageOf[4], 'mixed-precision']),
    quantization_status: z.literal('compressed').nullish(),
    kv_cache_scheme: z.null().optional(),
    moe_sparsity_config: z.null().optional(),
    transform_config: z.union([z.null(), z.strictObject({})]).optional(),
    sparsity_config: z
      .union([z.null(), z.strictObject({}), z.object({ format: z.literal('dense') })])
      .optional(),
    config_groups: z.record(
      z.string(),
      z.object({
        format: storage.nullish(),
        weights: weightScheme,
        input_activations: activationScheme.nullish(),
        output_activations: z.null().optional(),
      }),
    ),
  })
  .superRefine(({ format, config_groups: groups }, context) => {
    for (const [name, { weights, format: own }] of Object.entries(groups)) {
      const stored = own ?? format;
      if (stored === storageOf[weights.bits]) continue;
      context.addIssue({
        code: 'custom',
        path: ['config_groups', name, 'weights', 'num_bits'],
        message:
          `expected ${stored === 'pack-quantized' ? 4 : 8}, the only width read from ${stored} ` +
          'tensors',
      });
    }
  });

/**
 * Reads `quantization_config` of config.json: how the matrices of a quantized checkpoint are
 * stored. Undefined where there is none. Which modules it targets is not read: the tensors
 * themselves say.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the field and what it asks for that is not
 * supported.
 */
export function readQuantizationConfig(config: unknown): QuantizedForms | undefined {
  const found = quantizationField(config);
  if (found === undefined) return undefined;
  const result = schema.safeParse(found);
  if (result.success) return Object.values(result.data.config_groups).map(({ weights }) => weights);
  const [issue] = result.error.issues;
  const path = ['quantization_config', ...(issue?.path ?? [])].join('.');
  const method = quotedMethod(found);
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `config.json, field "${path}": ${issue?.message ?? 'invalid'}. Of quantized ` +
      `checkpoints${method} only symmetric 8- and 4-bit integers of compressed-tensors are ` +
      'read; take the model in bf16 and run: megascale quantize.',
    details: { path, issues: result.error.issues },
  });
}

/** The field as it stands in config.json; undefined where absent or null. */
export function quantizationField(config: unknown): unknown {
  if (typeof config !== 'object' || config === null) return undefined;
  if (!('quantization_config' in config)) return undefined;
  return config.quantization_config ?? undefined;
}

function quotedMethod(found: unknown): string {
  if (typeof found !== 'object' || found === null || !('quant_method' in found)) return '';
  const { quant_method: method } = found;
  return typeof method === 'string'
    ? ` (this one says ${JSON.stringify(method.slice(0, 40))})`
    : '';
}

/** What is written: each form with the modules it is for, and the modules that stay as they are. */
export interface QuantizedModules {
  /** The first form is that of every other linear layer. */
  readonly groups: readonly { readonly form: QuantizedForm; readonly targets: readonly string[] }[];
  readonly ignored: readonly string[];
}

/** The value of `quantization_config` for a checkpoint that this project writes. */
export function quantizationConfig({ groups, ignored }: QuantizedModules): unknown {
  const formats = new Set(groups.map(({ form }) => storageOf[form.bits]));
  const [only, ...others] = formats;
  return {
    quant_method: 'compressed-tensors',
    format: others.length === 0 ? only : 'mixed-precision',
    quantization_status: 'compressed',
    config_groups: Object.fromEntries(
      groups.map(({ form: { bits, groupSize }, targets }, index) => [
        `group_${index}`,
        {
          targets,
          format: storageOf[bits],
          weights: {
            num_bits: bits,
            type: 'int',
            symmetric: true,
            strategy: groupSize === undefined ? 'channel' : 'group',
            group_size: groupSize ?? null,
            dynamic: false,
            actorder: null,
          },
          input_activations: null,
          output_activations: null,
        },
      ]),
    ),
    ignore: ignored,
    kv_cache_scheme: null,
  };
}
