/** The files of a tokenizer for a made-up vocabulary. */
export interface RandomTokenizer {
  /** tokenizer.json. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json. */
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  readonly endTokenId: number;
  readonly padTokenId: number;
}

const endToken = '<|end|>';
/** Stands for bytes a small vocabulary has no token for, and pads. */
const padToken = '<|pad|>';
const specialTokens = [endToken, padToken, '<|user|>', '<|assistant|>'] as const;

const chatTemplate = [
  '{% for message in messages %}',
  '{{ message.role }}: {{ message.content }}\n',
  '{% endfor %}',
  '{% if add_generation_prompt %}assistant: {% endif %}',
].join('');

/**
 * A byte-level BPE tokenizer without merges: one token per byte, then four special tokens, then
 * filler words (' w260', …) up to `vocabSize`, which a model may say but no text becomes. Below 260
 * there are two special tokens and the most useful bytes, as many as fit; other bytes become
 * '<|pad|>'.
 */
export function randomTokenizer(vocabSize: number): RandomTokenizer {
  const special = vocabSize >= 260 ? specialTokens : specialTokens.slice(0, 2);
  const byteCount = Math.min(256, Math.max(0, vocabSize - special.length));
  const vocab: Record<string, number> = {};
  const alphabet =
    vocabSize >= 260 ? Array.from({ length: 256 }, (_, byte) => byte) : usefulBytes();
  for (const [id, byte] of alphabet.slice(0, byteCount).entries()) vocab[byteCharacter(byte)] = id;
  for (const [index, token] of special.entries()) vocab[token] = byteCount + index;
  for (let id = byteCount + special.length; id < vocabSize; id++) {
    vocab[`${byteCharacter(0x20)}w${id}`] = id;
  }
  return {
    tokenizer: tokenizerJson(vocab, special),
    tokenizerConfig: tokenizerConfigJson(),
    endTokenId: byteCount,
    padTokenId: byteCount + 1,
  };
}

function tokenizerJson(
  vocab: Readonly<Record<string, number>>,
  special: readonly string[],
): Readonly<Record<string, unknown>> {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: padToken,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  };
}

function tokenizerConfigJson(): Readonly<Record<string, unknown>> {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_bos_token: false,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    eos_token: endToken,
    pad_token: padToken,
    unk_token: padToken,
    chat_template: chatTemplate,
  };
}

/** All bytes, those of plain text first. */
function usefulBytes(): readonly number[] {
  const first = [...Buffer.from(' \netaoinshrdlucmfwypvbgkqjxz.,0123456789')];
  const printable = Array.from({ length: 95 }, (_, index) => 0x20 + index);
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  return [...new Set([...first, ...printable, ...all])];
}

/**
 * The visible character that stands for a byte in byte-level BPE vocabularies: itself if printable
 * in Latin-1, else 256 and up.
 */
function byteCharacter(byte: number): string {
  if (isVisible(byte)) return String.fromCharCode(byte);
  let before = 0;
  for (let other = 0; other < byte; other++) if (!isVisible(other)) before++;
  return String.fromCharCode(256 + before);
}

function isVisible(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}
