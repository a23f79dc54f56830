import { ConfigError } from '@megascale/core';
import { fieldError } from '../field-error.js';
import { planSchema, type PlanFile } from './plan-schema.js';

/**
 * A plan file's content, checked.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the field.
 */
export function parsePlanFile(content: unknown, file = 'plan'): PlanFile {
  const result = planSchema.safeParse(content);
  if (!result.success) throw fieldError(file, content, result.error);
  return result.data;
}

/**
 * Refuses a plan that was made for another model.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the sizes that differ.
 */
export function requireSameModel(
  {
    model,
  }: { readonly model: Pick<PlanFile['model'], 'name' | 'hiddenSize' | 'expertCount' | 'topK'> },
  sizes: Readonly<Record<'hiddenSize' | 'expertCount' | 'topK', number>>,
  what: 'plan' | 'profile' = 'plan',
): void {
  const differing = (['hiddenSize', 'expertCount', 'topK'] as const).filter(
    (key) => model[key] !== sizes[key],
  );
  if (differing.length === 0) return;
  const text = differing.map((key) => `${key} ${model[key]} instead of ${sizes[key]}`).join(', ');
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `The ${what} is of ${model.name}, another model than the one given: ${text}. Make a ${what} of this model.`,
    details: { planned: model, sizes },
  });
}
