import {
  openChatTemplate,
  openTokenizer,
  RequestError,
  systemClock,
  type ChatTemplate,
  type Tokenizer,
} from '@megascale/core';
import type { ChatMessage } from '../spec/language-model.js';

/**
 * Makes prompts into tokens, and remembers how long each took: a server does it before it calls
 * `generate`.
 */
export class PromptTokenizer {
  readonly tokenizer: Tokenizer;
  readonly #modelName: string;
  readonly #chatTemplate: ChatTemplate | undefined;
  readonly #tookUs = new WeakMap<readonly number[], number>();

  constructor(directory: string, modelName: string) {
    this.#modelName = modelName;
    this.tokenizer = openTokenizer(directory);
    this.#chatTemplate = openChatTemplate(directory);
  }

  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== undefined;
  }

  encode(text: string): number[] {
    return this.#timed(() => this.tokenizer.encode(text));
  }

  /** @throws RequestError 'ERR_REQUEST_INVALID' where the model has no chat template. */
  encodeChat(messages: readonly ChatMessage[]): number[] {
    const template = this.#chatTemplate;
    if (template === undefined) {
      throw new RequestError('ERR_REQUEST_INVALID', {
        message:
          `Model ${this.#modelName} has no chat template. ` +
          'Use /v1/completions with a text prompt.',
        details: { field: 'messages' },
      });
    }
    return this.#timed(() => {
      const text = template.render({ messages: messages.map((each) => ({ ...each })) });
      // The template writes the special tokens itself.
      return this.tokenizer.encode(text, { addSpecialTokens: false });
    });
  }

  /**
   * Returns the time that made this array of tokens, in microseconds; 0 where it was made
   * elsewhere.
   */
  tookUs(tokenIds: readonly number[]): number {
    return this.#tookUs.get(tokenIds) ?? 0;
  }

  #timed(encode: () => number[]): number[] {
    const beganUs = systemClock.nowUs();
    const tokenIds = encode();
    this.#tookUs.set(tokenIds, systemClock.nowUs() - beganUs);
    return tokenIds;
  }
}
