import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as library from '@huggingface/tokenizers';
import { corruptFile } from '../weights/checkpoint/checkpoint-errors.js';
import { readJsonObject } from '../weights/checkpoint/read-json-object.js';

/** Text ↔ token ids of one model. */
export interface Tokenizer {
  /**
   * One more than the largest id that has text; a model's vocabulary may be larger, padded with ids
   * without text.
   */
  readonly vocabSize: number;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number;
  /**
   * Special tokens written out in `text` become their ids. Empty text gives what the model puts
   * around any text, mostly nothing.
   */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Ids → text, without the clean-up of spaces that some configurations ask for: it cannot be done
   * while text streams. Ids that have no token are left out; bytes that are not UTF-8 become
   * U+FFFD.
   */
  decode(tokenIds: readonly number[], options?: DecodeOptions): string;
  /** Whether the token steers the model (end, roles) and is no text. */
  isSpecial(tokenId: number): boolean;
  /** The token as the vocabulary spells it ('Ġthe'), or undefined. */
  tokenOf(tokenId: number): string | undefined;
  /** The id of a token spelt as in the vocabulary, or undefined. */
  idOf(token: string): number | undefined;
}

export interface EncodeOptions {
  /**
   * Add what the model expects around a text, such as a begin token. Default true. False for text
   * from a chat template, which has it.
   */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default true. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * Reads `dir`/tokenizer.json and tokenizer_config.json (which may be absent).
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING' when there is no tokenizer.json,
 * 'ERR_CHECKPOINT_CORRUPT' when it is not one.
 */
export function openTokenizer(dir: string): Tokenizer {
  const file = join(dir, 'tokenizer.json');
  const configFile = join(dir, 'tokenizer_config.json');
  const json = readJsonObject(file);
  const config = existsSync(configFile) ? readJsonObject(configFile) : {};
  try {
    return createTokenizer(json, config);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw corruptFile(file, `no tokenizer can be made of it (${reason})`);
  }
}

/** The same from parsed JSON. Throws a plain Error for what is not a tokenizer. */
export function createTokenizer(
  json: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
): Tokenizer {
  const model = new LibraryTokenizer({ added_tokens: [], ...json }, config);
  const idOf = (token: string): number | undefined => model.token_to_id(token);
  const tokenOf = (id: number): string | undefined => model.id_to_token(id);
  const special = new Set<number>();
  for (const [id, token] of model.get_added_tokens_decoder()) if (token.special) special.add(id);
  const bosTokenId = namedTokenId(config['bos_token'], idOf);
  const eosTokenId = namedTokenId(config['eos_token'], idOf);
  return {
    vocabSize: [...model.get_vocab().values()].reduce((size, id) => Math.max(size, id + 1), 0),
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(eosTokenId === undefined ? {} : { eosTokenId }),
    encode(text, { addSpecialTokens = true } = {}) {
      const { ids } = model.encode(text, { add_special_tokens: addSpecialTokens });
      return ids.filter((id) => id !== undefined);
    },
    decode(tokenIds, { skipSpecialTokens = true } = {}) {
      const kept = tokenIds.filter(
        (id) => tokenOf(id) !== undefined && !(skipSpecialTokens && special.has(id)),
      );
      if (kept.length === 0) return '';
      return model.decode(kept, {
        skip_special_tokens: false,
        clean_up_tokenization_spaces: false,
      });
    },
    isSpecial: (id) => special.has(id),
    tokenOf,
    idOf,
  };
}

/**
 * What this file uses of the library; its own declarations do not resolve under Node's module
 * rules.
 */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(
    ids: readonly number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string | undefined, number>;
  get_added_tokens_decoder(): Map<number, { readonly special: boolean }>;
}
const LibraryTokenizer = (
  library as unknown as {
    Tokenizer: new (json: object, config: object) => LibraryTokenizer;
  }
).Tokenizer;

/** Configurations name a token by its text or by an object with its `content`. */
function namedTokenId(
  token: unknown,
  idOf: (token: string) => number | undefined,
): number | undefined {
  const text = tokenText(token);
  return text === undefined ? undefined : idOf(text);
}

/** The text of a token named in tokenizer_config.json. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token !== 'object' || token === null || !('content' in token)) return undefined;
  return typeof token.content === 'string' ? token.content : undefined;
}
