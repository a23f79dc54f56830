import { readFileSync } from 'node:fs';
import { llmOptionsSchema } from '@megascale/engine';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readEnvironment } from '../../src/environment.js';
import { allOptions, llmOptions } from '../../src/options/all-options.js';
import { configJsonSchema } from '../../src/options/config-schema.js';
import type { OptionDescription } from '../../src/options/describe-options.js';
import { innerSchema, isBoolean, literalOf } from '../../src/options/option-kind.js';
import { serveOptionsSchema } from '../../src/options/serve-options.js';
import { finishedCli } from '../support/cli-fixture.js';

const names = [
  ...Object.keys(llmOptionsSchema.shape),
  ...Object.keys(serveOptionsSchema.shape),
].sort();
const flagless = (option: OptionDescription): string => option.flag.slice('--'.length);
const readme = (folder: string) =>
  readFileSync(new URL(`../../../${folder}/README.md`, import.meta.url), 'utf8');

/** A value of the option as people would type it. */
function sampleOf({ schema, meta }: OptionDescription): string {
  if (meta.example !== undefined) return meta.example;
  const inner = innerSchema(schema);
  if (inner instanceof z.ZodEnum) return String(inner.options.at(-1));
  if (inner instanceof z.ZodUnion) {
    return inner.options.map(literalOf).find((text) => text !== undefined) ?? '1';
  }
  // 1 is in no bounds of ours but those of page sizes.
  if (inner instanceof z.ZodNumber) return schema.safeParse(1).success ? '1' : '16';
  return 'sample';
}

describe('every option', () => {
  it('is described, and once', () => {
    expect(allOptions.map(({ name }) => name).sort()).toEqual(names);
  });

  it('is in the help of serve', async () => {
    const { stdout } = await finishedCli(['serve', '--help']);
    for (const option of allOptions) {
      expect(stdout).toMatch(new RegExp(`--(no-)?${flagless(option)}\\b`));
      expect(stdout).toContain(`\n${option.group}:\n`);
    }
  });

  it('is in the JSON schema, with its help', () => {
    const { properties } = configJsonSchema() as {
      readonly properties: Readonly<Record<string, { readonly description: string }>>;
    };
    for (const { name, meta } of allOptions) {
      expect(properties[name]?.description).toContain(meta.help);
    }
  });

  it('is in the tables of the READMEs', () => {
    for (const { flag } of allOptions) expect(readme('cli')).toContain(`| \`${flag}\``);
    for (const { name } of llmOptions) expect(readme('engine')).toContain(`| \`${name}\``);
  });

  it.each(allOptions.map((option) => [option.name, option] as const))(
    '%s means the same as a flag, a variable and a key of a file',
    async (name, option) => {
      const sample = isBoolean(option) ? 'true' : sampleOf(option);
      const byVariable = readEnvironment({ [option.variable]: sample });
      expect(Object.keys(byVariable)).toEqual([name]);
      const value: unknown = byVariable[name as keyof typeof byVariable];
      expect(option.schema.safeParse(value).success).toBe(true);
      if (!llmOptions.includes(option)) return;
      const words = ['generate', 'm', '--prompt', 'x'];
      const flag = isBoolean(option) ? [option.flag] : [option.flag, sample];
      const byFlag = await finishedCli([...words, ...flag]);
      expect(byFlag.stderr).toBe('');
      expect(byFlag.loaded?.deployment).toEqual({ [name]: value });
    },
  );

  it('that is on or off can be turned either way', async () => {
    for (const option of llmOptions.filter(isBoolean)) {
      const flag = `--no-${flagless(option)}`;
      const run = await finishedCli(['generate', 'm', '--prompt', 'x', flag]);
      expect(run.loaded?.deployment).toEqual({ [option.name]: false });
    }
  });
});

it('suggests the flag that a mistyped one means', async () => {
  const run = await finishedCli(['serve', 'm', '--max-num-seq', '4']);
  expect(run.stderr).toContain('Did you mean --max-num-seqs?');
});
