import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { RequestError } from '../errors.js';
import { corruptFile } from '../weights/checkpoint/checkpoint-errors.js';
import { readJsonObject } from '../weights/checkpoint/read-json-object.js';
import { tokenText } from './tokenizer.js';

/** What a chat is rendered from; messages and tools are handed to the template as they are. */
export interface ChatTemplateInput {
  /** Each with at least `role` and `content`. */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools?: readonly unknown[];
  /** End with the words that open the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Further names the template may read, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Turns messages into the one text a model was trained on. */
export interface ChatTemplate {
  /**
   * The text holds special tokens written out: encode it with `addSpecialTokens: false`.
   *
   * @throws RequestError 'ERR_REQUEST_INVALID' with the template's own words when it refuses the
   * messages.
   */
  render(input: ChatTemplateInput): string;
}

/**
 * Reads a model's chat template: `chat_template` of tokenizer_config.json (a text, or a list of
 * named ones of which 'default' is taken, and 'tool_use' where there are tools), else
 * chat_template.jinja. Undefined: the model has none.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_CORRUPT' when a template does not parse.
 */
export function openChatTemplate(dir: string): ChatTemplate | undefined {
  const configFile = join(dir, 'tokenizer_config.json');
  const config = existsSync(configFile) ? readJsonObject(configFile) : {};
  const jinjaFile = join(dir, 'chat_template.jinja');
  const source = config['chat_template'] ?? undefined;
  if (source !== undefined) return createChatTemplate(source, config, configFile);
  if (!existsSync(jinjaFile)) return undefined;
  return createChatTemplate(readFileSync(jinjaFile, 'utf8'), config, jinjaFile);
}

/**
 * The same from parsed JSON. `tokenizerConfig` gives the texts of bos_token, eos_token, pad_token
 * and unk_token; `file` is named in errors.
 */
export function createChatTemplate(
  source: unknown,
  tokenizerConfig: Readonly<Record<string, unknown>>,
  file: string,
): ChatTemplate {
  const templates = parseTemplates(source, file);
  const tokens = Object.fromEntries(
    ['bos_token', 'eos_token', 'pad_token', 'unk_token'].flatMap((name) => {
      const text = tokenText(tokenizerConfig[name]);
      return text === undefined ? [] : [[name, text]];
    }),
  );
  return {
    render({ messages, tools, addGenerationPrompt = true, variables }) {
      const named = tools === undefined ? undefined : templates.get('tool_use');
      const template = named ?? templates.get('default');
      if (template === undefined)
        throw corruptFile(file, "it has no chat template named 'default'");
      return render(template, {
        ...tokens,
        ...variables,
        messages,
        ...(tools === undefined ? {} : { tools }),
        add_generation_prompt: addGenerationPrompt,
      });
    },
  };
}

function render(template: Template, variables: Record<string, unknown>): string {
  try {
    return template.render(variables);
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new RequestError('ERR_REQUEST_INVALID', {
      message: `The model's chat template refuses these messages: ${words}`,
      details: { field: 'messages', templateMessage: words },
      cause,
    });
  }
}

function parseTemplates(source: unknown, file: string): ReadonlyMap<string, Template> {
  if (typeof source === 'string') return new Map([['default', parse(source, file)]]);
  if (!Array.isArray(source)) throw corruptFile(file, 'its chat_template is neither text nor list');
  const templates = new Map<string, Template>();
  for (const entry of source as readonly unknown[]) {
    const { name, template } = (entry ?? {}) as { name?: unknown; template?: unknown };
    if (typeof name !== 'string' || typeof template !== 'string') {
      throw corruptFile(file, 'an item of its chat_template has no name or no template');
    }
    templates.set(name, parse(template, file));
  }
  if (!templates.has('default')) throw corruptFile(file, "it has no chat template named 'default'");
  return templates;
}

function parse(source: string, file: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw corruptFile(file, `its chat template does not parse (${reason})`);
  }
}
