import { RequestError } from '@megascale/core';
import type { HttpContext } from '../http/http-context.js';

/** Returns the served model in OpenAI's form. */
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
 * Checks the model that a request names. A request may leave the model out.
 *
 * @throws RequestError 'ERR_MODEL_UNKNOWN' for any model but the served one.
 */
export function checkModel({ model }: HttpContext, name: string | undefined): void {
  if (name === undefined || name === model.info.name) return;
  throw new RequestError('ERR_MODEL_UNKNOWN', {
    message: `The model ${JSON.stringify(name)} is not served here; ask for "${model.info.name}".`,
    details: { param: 'model', served: model.info.name },
  });
}
