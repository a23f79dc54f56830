import { resolve } from 'node:path';
import { makeRandomCheckpoint, type RandomCheckpointOptions } from '@megascale/core';
import { Command, Option } from 'commander';
import type { CliWorld } from '../world.js';
import { safeInteger, sizeNumber, wholeNumber } from '../flags/number-flags.js';
import { progressBar } from '../output/progress-bar.js';

interface MakeModelFlags extends RandomCheckpointOptions {
  readonly json?: boolean;
}

export function makeModelCommand(world: CliWorld): Command {
  const count = wholeNumber(1);
  return new Command('make-model')
    .description(
      'Write a checkpoint of random weights in Hugging Face layout, for tests and measurements.',
    )
    .argument('<DIR>', 'an empty or new directory')
    .addOption(
      new Option('--family <name>', 'model family')
        .choices(['mixtral', 'qwen3-moe'])
        .default('mixtral'),
    )
    .option('--hidden <size>', 'width of the hidden states', count, 256)
    .option('--layers <count>', 'layers', count, 4)
    .option('--experts <count>', 'experts per layer', count, 8)
    .option('--top-k <k>', 'experts per token', count, 2)
    .option('--expert-width <size>', 'inner width of one expert', count, 512)
    .option('--heads <count>', 'attention heads', count, 8)
    .option('--kv-heads <count>', 'key and value heads', count, 2)
    .option('--head-size <size>', 'width of a head (default: hidden / heads)', count)
    .option('--vocab <count>', 'tokens in the vocabulary', count, 2048)
    .option('--positions <tokens>', 'longest context', sizeNumber('tokens', 1), 4096)
    .option(
      '--sliding-window <tokens>',
      'keys a token sees (default: all)',
      sizeNumber('tokens', 1),
    )
    .option('--tied', 'the LM head is the embedding table')
    .option('--seed <seed>', 'same options and seed, same bytes', safeInteger, 0)
    .option('--json', 'print one JSON document, at the end')
    .addHelpText(
      'after',
      `
The weights are bf16, and the generated text means nothing.

Examples:
  megascale make-model /tmp/random
  megascale make-model /tmp/wide --family qwen3-moe --hidden 1024 --experts 64 --top-k 8 --expert-width 384 --seed 3`,
    )
    .action((directory: string, flags: MakeModelFlags) => makeModel(directory, flags, world));
}

async function makeModel(
  directory: string,
  { json, ...flags }: MakeModelFlags,
  world: CliWorld,
): Promise<void> {
  const bar = progressBar('writing', world);
  let bytes = 0;
  try {
    await makeRandomCheckpoint(directory, flags, ({ bytesDone, bytesTotal }) => {
      bytes = bytesTotal;
      bar?.update(bytesDone, bytesTotal);
    });
  } finally {
    bar?.stop();
  }
  const { family, seed } = flags;
  const path = resolve(directory);
  world.stdout.write(
    json === true
      ? `${JSON.stringify({ directory: path, family, seed, weightBytes: bytes })}\n`
      : `Wrote a random ${family} model to ${path}, ${(bytes / 2 ** 20).toFixed(1)} MiB of weights.\n`,
  );
}
