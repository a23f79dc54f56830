import type { LanguageModel } from '@megascale/engine';
import { Command } from 'commander';
import { logOption } from '../options/all-options.js';
import { addOptionFlags } from '../options/option-flags.js';
import { logSettings, type LogLevel } from '../options/serve-options.js';
import { presentFields } from '@megascale/core';
import type { CliWorld } from '../world.js';
import {
  addDeploymentFlags,
  deploymentOf,
  givenValues,
  type DeploymentFlags,
} from '../flags/deployment-flags.js';
import { loadWithProgress } from '../output/load-model.js';
import { createLogger } from '../output/logger.js';
import {
  realNumber,
  safeInteger,
  sizeNumber,
  tokenIdList,
  wholeNumber,
} from '../flags/number-flags.js';
import { mapTogether } from '../output/map-together.js';
import { readPromptsFile, type PromptLine } from '../flags/prompts-file.js';
import { runPrompt, type PromptResult } from './run-prompt.js';
import { ShutdownSignals } from '../output/shutdown-signals.js';
import { UsageError } from '../output/usage-error.js';

type GenerateFlags = DeploymentFlags & {
  readonly prompt?: string;
  readonly promptTokens?: readonly number[];
  readonly prompts?: string;
  readonly chat?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
  readonly logprobs?: number;
  readonly logLevel?: LogLevel;
  readonly json?: boolean;
};

export function generateCommand(world: CliWorld): Command {
  const command = new Command('generate')
    .description('Generate from a prompt, or from many at once, without a server.')
    .argument('<MODEL>', 'directory in Hugging Face layout')
    .option('--prompt <text>', 'the prompt')
    .option('--prompt-tokens <ids>', 'the prompt as token ids: 1,2,3', tokenIdList)
    .option('--prompts <file>', 'many prompts, one JSON object per line, run together')
    .option('--chat', "put text prompts into the model's chat template")
    .option(
      '--max-tokens <count>',
      'output tokens at most (default: what the context leaves)',
      sizeNumber('tokens', 1),
    )
    .option(
      '--temperature <t>',
      "0 takes the likeliest token (default: the model's)",
      realNumber(0),
    )
    .option('--top-k <k>', 'keep the k likeliest tokens; 0 keeps all', wholeNumber(0))
    .option('--top-p <p>', 'keep the likeliest tokens that together reach p', realNumber(0, 1))
    .option(
      '--min-p <p>',
      'keep tokens at least p times as likely as the likeliest',
      realNumber(0, 1),
    )
    .option(
      '--seed <seed>',
      'same seed, same tokens on any topology (default: random)',
      safeInteger,
    )
    .option('--stop <text>', 'end before this text; may be given several times', collect)
    .option('--ignore-eos', 'go on past end-of-sequence tokens')
    .option(
      '--logprobs <count>',
      'log-probabilities of each token and so many others',
      wholeNumber(0, 20),
    );
  addDeploymentFlags(command);
  return addOptionFlags(command, logOption)
    .option('--json', 'print one JSON document, at the end')
    .addHelpText('after', helpText)
    .action((directory: string, flags: GenerateFlags) => generate(directory, flags, world));
}

const helpText = `
Exactly one of --prompt, --prompt-tokens and --prompts is needed. A line of the prompts file has "prompt" or
"promptTokens" and may have maxTokens, temperature, topK, topP, minP, seed, stop, ignoreEos, logprobs; the flags
apply where a line is silent.

--json prints {tokens, text, finishReason, usage:{promptTokens, outputTokens}, topology, timing:{ttftMs, tpotMs, e2eMs}},
with --prompts {results:[…], topology}. Times are milliseconds; tpotMs is null for a single token.

Examples:
  megascale generate models/dictionary --prompt 'lighthouse (noun):' --max-tokens 24 --temperature 0
  megascale generate MODEL --prompt 'Hello!' --chat --seed 7
  megascale generate MODEL --prompt-tokens 1,2,3 --max-tokens 8 --json
  megascale generate MODEL --prompts batch.jsonl --attention-workers 2 --expert-workers 2 --json`;

async function generate(directory: string, flags: GenerateFlags, world: CliWorld): Promise<void> {
  const lines = promptLines(flags);
  const environment = world.readEnvironment();
  const { logLevel } = logSettings.parse(givenValues(flags, environment, logOption));
  const logger = createLogger(logLevel, world);
  const signals = new ShutdownSignals(world);
  try {
    const deployment = deploymentOf(flags, environment);
    const model = await loadWithProgress(directory, deployment, { world, logger });
    try {
      signals.throwIfRequested();
      await runAll({ model, lines, flags, world, signal: signals.requested });
    } finally {
      await model.close();
    }
  } catch (error) {
    // What an interrupted run fails with is of no interest.
    signals.throwIfRequested();
    throw error;
  } finally {
    signals.dispose();
  }
}

interface BatchRun {
  readonly model: LanguageModel;
  readonly lines: readonly PromptLine[];
  readonly flags: GenerateFlags;
  readonly world: CliWorld;
  readonly signal: AbortSignal;
}

async function runAll({ model, lines, flags, world, signal }: BatchRun): Promise<void> {
  const { clock, stdout } = world;
  const { topology } = model.info;
  const isBatch = flags.prompts !== undefined;
  const streams = !isBatch && flags.json !== true;
  const onText = streams ? (text: string) => void stdout.write(text) : undefined;
  const results = await mapTogether(lines, ({ prompt, options }) => {
    const rendered =
      flags.chat === true && typeof prompt === 'string'
        ? model.encodeChat([{ role: 'user', content: prompt }])
        : prompt;
    return runPrompt(model, rendered, { options: { ...options, signal }, clock, onText });
  });
  if (flags.json === true) {
    const [first] = results;
    const document = isBatch ? { results, topology } : { ...first, topology };
    stdout.write(`${JSON.stringify(document)}\n`);
  } else if (isBatch) {
    stdout.write(results.map(asBlock).join(''));
  } else if (results[0]?.text.endsWith('\n') !== true) {
    stdout.write('\n');
  }
}

function asBlock({ text, finishReason, usage }: PromptResult, index: number): string {
  return `[${index}] ${usage.outputTokens} tokens, ${finishReason}\n${text}\n\n`;
}

/** What is to be generated, with the flags as each line's defaults. */
function promptLines(flags: GenerateFlags): readonly PromptLine[] {
  const { prompt, promptTokens, prompts } = flags;
  const given = [prompt, promptTokens, prompts].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new UsageError(
      'Give exactly one of --prompt TEXT, --prompt-tokens 1,2,3 and --prompts FILE.',
    );
  }
  if (flags.chat === true && promptTokens !== undefined) {
    throw new UsageError(
      '--chat puts a text into the chat template; token ids are taken as they are.',
    );
  }
  const options = presentFields({
    maxTokens: flags.maxTokens,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    seed: flags.seed,
    stop: flags.stop,
    ignoreEos: flags.ignoreEos,
    logprobs: flags.logprobs,
  });
  if (prompts !== undefined) return readPromptsFile(prompts, options);
  return [{ prompt: prompt ?? promptTokens ?? '', options }];
}

function collect(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}
