import { readFileSync } from 'node:fs';
import type { GenerateOptions } from '@megascale/engine';
import { z } from 'zod';
import { presentFields } from '@megascale/core';
import { UsageError } from '../output/usage-error.js';

export interface PromptLine {
  readonly prompt: string | readonly number[];
  readonly options: GenerateOptions;
}

const lineSchema = z
  .strictObject({
    prompt: z.string().optional(),
    promptTokens: z.array(z.int().min(0)).min(1).optional(),
    maxTokens: z.int().min(1).optional(),
    temperature: z.number().min(0).optional(),
    topK: z.int().min(0).optional(),
    topP: z.number().min(0).max(1).optional(),
    minP: z.number().min(0).max(1).optional(),
    seed: z.int().optional(),
    stop: z.array(z.string().min(1)).optional(),
    ignoreEos: z.boolean().optional(),
    logprobs: z.int().min(0).max(20).optional(),
  })
  .refine(
    (line) => (line.prompt === undefined) !== (line.promptTokens === undefined),
    'expected exactly one of prompt and promptTokens',
  );

/**
 * Reads one JSON object per line; empty lines are skipped. `defaults` apply where a line is silent.
 */
export function readPromptsFile(path: string, defaults: GenerateOptions): readonly PromptLine[] {
  const lines = readText(path).split('\n');
  const prompts = lines.flatMap((line, index) =>
    line.trim() === '' ? [] : [parseLine(line, `${path}:${index + 1}`, defaults)],
  );
  if (prompts.length === 0) throw new UsageError(`${path} has no prompts; give one per line.`);
  return prompts;
}

function parseLine(line: string, place: string, defaults: GenerateOptions): PromptLine {
  const parsed = lineSchema.safeParse(parseJson(line, place));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const path = issue === undefined ? '' : issue.path.map(String).join('.');
    throw new UsageError(`${place}: ${path === '' ? '' : `${path}: `}${issue?.message ?? ''}.`);
  }
  const { prompt, promptTokens, ...options } = parsed.data;
  return {
    prompt: prompt ?? promptTokens ?? '',
    options: { ...defaults, ...presentFields(options) },
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}.`);
  }
}

function parseJson(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new UsageError(`${place}: no JSON object: ${(error as Error).message}.`);
  }
}
