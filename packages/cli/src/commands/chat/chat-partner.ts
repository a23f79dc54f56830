import type { ChatMessage, GenerateOptions, LanguageModel } from '@megascale/engine';

/** The other side of a chat: a model in this program, or a server. */
export interface ChatPartner {
  /** For the greeting: 'dictionary at http://127.0.0.1:8000'. */
  readonly title: string;
  /**
   * Streams the answer to a conversation. The last piece has a finish reason.
   *
   * @throws MegascaleError or UsageError, with a text for the user; any error once `signal` aborts.
   */
  answer(messages: readonly ChatMessage[], signal: AbortSignal): AsyncIterable<ChatPiece>;
  /** Frees what the partner holds. */
  close(): Promise<void>;
}

export interface ChatPiece {
  readonly text: string;
  /** Absent on every piece but the last. 'length': the answer met a limit on its tokens. */
  readonly finishReason?: string;
}

/** How the answers are sampled; what is absent is left to the model. */
export type ChatSampling = Pick<GenerateOptions, 'maxTokens' | 'temperature' | 'topP' | 'seed'>;

/** Makes a model that runs in this program a chat partner. Closing the partner closes the model. */
export function modelPartner(model: LanguageModel, sampling: ChatSampling): ChatPartner {
  return {
    title: model.info.name,
    answer: (messages, signal) =>
      model.generate(model.encodeChat(messages), { ...sampling, signal }),
    close: () => model.close(),
  };
}
