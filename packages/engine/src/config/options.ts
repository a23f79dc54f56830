import { ConfigError } from '@megascale/core';
import { z } from 'zod';
import { computeOptions } from './compute-options.js';
import { expertOptions } from './expert-options.js';
import { kvCacheOptions } from './kv-cache-options.js';
import type { OptionGroup } from './option.js';
import { poolOptions } from './pool-options.js';
import { recoveryOptions } from './recovery-options.js';
import { scheduleOptions } from './schedule-options.js';
import { transportOptions } from './transport-options.js';

/** In the order of the help. Each option is written in its group's file and nowhere else. */
export const llmOptionGroups: readonly OptionGroup[] = [
  { title: 'Pools', shape: poolOptions },
  { title: 'Model and KV cache', shape: kvCacheOptions },
  { title: 'Schedule', shape: scheduleOptions },
  { title: 'Experts', shape: expertOptions },
  { title: 'Transport', shape: transportOptions },
  { title: 'Compute', shape: computeOptions },
  { title: 'Recovery', shape: recoveryOptions },
];

/**
 * What `LLM.load` accepts. Every option has a default; `resolveOptions` finds those that depend on
 * the model.
 */
export const llmOptionsSchema = z.strictObject({
  ...poolOptions,
  ...kvCacheOptions,
  ...scheduleOptions,
  ...expertOptions,
  ...transportOptions,
  ...computeOptions,
  ...recoveryOptions,
});

export type LlmOptions = z.input<typeof llmOptionsSchema>;
export type ParsedOptions = z.output<typeof llmOptionsSchema>;

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the option, what was found and what is allowed. */
export function parseOptions(options: LlmOptions): ParsedOptions {
  const result = llmOptionsSchema.safeParse(options, { reportInput: true });
  if (result.success) {
    if (result.data.colocated && result.data.emulatedLink !== undefined) throw linkWithoutPools();
    return result.data;
  }
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option ${path || '(unknown)'}: ${issue?.message ?? 'invalid'}${found(path, issue?.input)}.`,
    details: {
      path,
      issues: result.error.issues.map(({ code, path: at, message }) => ({
        code,
        path: at,
        message,
      })),
    },
  });
}

/** ' (found …)', without keys: messages are logged. */
function found(path: string, input: unknown): string {
  const secret = 'preSharedKey';
  if (input === undefined || path.endsWith(secret)) return '';
  const hide = (name: string, value: unknown): unknown => (name === secret ? '…' : value);
  return ` (found ${JSON.stringify(input, hide)})`;
}

function linkWithoutPools(): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message:
      'Option emulatedLink: a colocated deployment has no link between its pools. Leave out one of the two.',
    details: { path: 'emulatedLink' },
  });
}
