import { RequestError } from '@megascale/core';
import type { HttpContext } from '../http/http-context.js';

/** The served model as OpenAI lists it. */
export function modelFields({ model, modelCreated }: HttpContext) {
  return {
    id: model.info.name,
    object: 'model',
    created: modelCreated,
    owned_by: 'megascale',
    max_model_len: model.info.maxModelLen,
  };
}

/**
 * A request may leave the model out; if it names one it must be the served one.
 *
 * @throws RequestError 'ERR_MODEL_UNKNOWN'
 */
export function checkModel({ model }: HttpContext, name: string | undefined): void {
  if (name === undefined || name === model.info.name) return;
  throw new RequestError('ERR_MODEL_UNKNOWN', {
    message: `The model ${JSON.stringify(name)} is not served here; ask for "${model.info.name}".`,
    details: { param: 'model', served: model.info.name },
  });
}
