import { resolve } from 'node:path';
import { quantizeCheckpoint, type QuantizationOptions } from '@megascale/core';
import { Command, Option } from 'commander';
import { presentFields } from '@megascale/core';
import type { CliWorld } from '../world.js';
import { wholeNumber } from '../flags/number-flags.js';
import { progressBar } from '../output/progress-bar.js';

interface QuantizeFlags {
  readonly format: QuantizationOptions['format'];
  readonly groupSize?: number;
  readonly json?: boolean;
}

export function quantizeCommand(world: CliWorld): Command {
  return new Command('quantize')
    .description('Write a copy of a model with 8-bit or 4-bit weights.')
    .argument('<IN>', 'directory in Hugging Face layout, not quantized')
    .argument('<OUT>', 'an empty or new directory')
    .addOption(
      new Option('--format <name>', 'how experts and linears are stored')
        .choices(['int8', 'int4'])
        .makeOptionMandatory(),
    )
    .option(
      '--group-size <weights>',
      'neighbours that share a scale (default: int8 a whole row, int4 32)',
      wholeNumber(1),
    )
    .option('--json', 'print one JSON document, at the end')
    .addHelpText('after', helpText)
    .action((from: string, to: string, flags: QuantizeFlags) => quantize(from, to, flags, world));
}

const helpText = `
Experts, projections and dense layers are quantized to --format, an LM head of its own to 8 bits; routers, norms,
biases and the embedding table stay as they are. The layout is that of compressed-tensors. A group size
must divide the rows of every matrix; the cpu backend runs multiples of 32.

--json prints {directory, format, family, quantizedTensors, keptTensors, bytesBefore, bytesAfter, largestError,
largestErrorTensor, relativeError}. largestError is the largest |weight - stored weight|; relativeError is the root
of the mean squared error over that of the mean squared weight.

Examples:
  megascale quantize MODEL /tmp/model-int8 --format int8
  megascale quantize MODEL /tmp/model-int4 --format int4 --group-size 64 && megascale serve /tmp/model-int4`;

async function quantize(
  from: string,
  to: string,
  { json, ...flags }: QuantizeFlags,
  world: CliWorld,
): Promise<void> {
  const { format, groupSize } = flags;
  const bar = progressBar('quantizing', world);
  let report;
  try {
    report = await quantizeCheckpoint(from, to, {
      format,
      ...presentFields({ groupSize }),
      onProgress: ({ bytesDone, bytesTotal }) => bar?.update(bytesDone, bytesTotal),
    });
  } finally {
    bar?.stop();
  }
  const directory = resolve(to);
  if (json === true) {
    world.stdout.write(`${JSON.stringify({ directory, format, ...report })}\n`);
    return;
  }
  const { bytesBefore, bytesAfter, largestError, largestErrorTensor, relativeError } = report;
  world.stdout.write(
    `Wrote the ${report.family} model as ${format} to ${directory}: ${report.quantizedTensors} tensors quantized, ${report.keptTensors} kept.
${mebibytes(bytesBefore)} became ${mebibytes(bytesAfter)} (${((100 * bytesAfter) / bytesBefore).toFixed(1)} %).
Largest error ${largestError.toPrecision(3)}, in ${largestErrorTensor}; relative error of all ${(100 * relativeError).toFixed(2)} %.
`,
  );
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
