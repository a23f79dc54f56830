import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RequestError } from '../../../src/errors.js';
import { openChatTemplate, type ChatTemplate } from '../../../src/text/chat-template.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-template-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const messages = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
];
const loop = '{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}';

function open(template: unknown, config: object = {}): ChatTemplate {
  writeFileSync(
    join(dir, 'tokenizer_config.json'),
    JSON.stringify({ chat_template: template, eos_token: '</s>', ...config }),
  );
  const opened = openChatTemplate(dir);
  if (opened === undefined) throw new Error('no template');
  return opened;
}

describe('openChatTemplate', () => {
  it('renders messages with the special tokens of the configuration', () => {
    expect(open(loop).render({ messages })).toBe('[user]Hi</s>[assistant]Hello</s>');
    const bos = open('{{ bos_token }}|{{ unk_token is defined }}', {
      bos_token: { content: '<s>' },
    });
    expect(bos.render({ messages })).toBe('<s>|false');
  });

  it('opens the assistant’s turn unless told not to', () => {
    const template = open('x{% if add_generation_prompt %}>{% endif %}');
    expect(template.render({ messages })).toBe('x>');
    expect(template.render({ messages, addGenerationPrompt: false })).toBe('x');
  });

  it('takes a named template for tools, and the default otherwise', () => {
    const template = open([
      { name: 'default', template: 'plain {{ mood }}' },
      { name: 'tool_use', template: '{{ tools | length }} tools' },
    ]);
    expect(template.render({ messages, variables: { mood: 'calm' } })).toBe('plain calm');
    expect(template.render({ messages, tools: [{}, {}] })).toBe('2 tools');
  });

  it('lets no variable replace the messages', () => {
    expect(open(loop).render({ messages: [], variables: { messages } })).toBe('');
  });

  it('reads chat_template.jinja where the configuration has none', () => {
    expect(openChatTemplate(dir)).toBeUndefined();
    writeFileSync(join(dir, 'chat_template.jinja'), loop);
    expect(openChatTemplate(dir)?.render({ messages: [] })).toBe('');
  });

  it('hands on the words with which a template refuses', () => {
    const template = open("{{ raise_exception('Roles must alternate') }}");
    expect(() => template.render({ messages })).toThrow(RequestError);
    expect(() => template.render({ messages })).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_INVALID',
        message: expect.stringContaining('Roles must alternate') as string,
      }),
    );
  });

  it('refuses messages a template cannot work on', () => {
    const template = open('{{ messages[0].content | trim }}');
    expect(() => template.render({ messages: [{ role: 'user', content: 3 }] })).toThrow(
      RequestError,
    );
  });

  it.each<[string, unknown]>([
    ['an unclosed block', '{% for m in messages %}'],
    ['a number', 3],
    ['a list without default', [{ name: 'tool_use', template: '' }]],
    ['a list of numbers', [1]],
    ['a list of null', [null]],
  ])('refuses %s as corrupt', (_, template) => {
    expect(() => open(template)).toThrow(
      expect.objectContaining({ code: 'ERR_CHECKPOINT_CORRUPT' }),
    );
  });
});
