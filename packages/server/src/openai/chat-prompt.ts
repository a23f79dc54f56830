import { RequestError } from '@megascale/core';
import type { ChatMessage, LanguageModel } from '@megascale/engine';

/**
 * Messages → prompt token ids. A template writes the model's special tokens itself, so those that `encode` puts in
 * front are taken off again.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' when there is no template or it refuses the messages.
 */
export function chatPrompt(model: LanguageModel, messages: readonly ChatMessage[]): number[] {
  if (!model.info.hasChatTemplate) {
    throw new RequestError('ERR_REQUEST_INVALID', {
      message: `The model ${model.info.name} has no chat template. Use /v1/completions with a text prompt.`,
      details: { param: 'messages' },
    });
  }
  const tokenIds = model.encode(model.renderChat(messages));
  const added = model.encode('');
  const startsWithAdded = added.every((tokenId, index) => tokenIds[index] === tokenId);
  return startsWithAdded ? tokenIds.slice(added.length) : tokenIds;
}
