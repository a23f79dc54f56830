import type { ChromeTrace } from '@megascale/core';
import type { PipelineNumbers } from '@megascale/engine';
import { Command } from 'commander';
import type { CliWorld } from '../world.js';
import { addServerFlags, askServer, type ServerFlags } from '../flags/server-flags.js';
import { writeTextFile } from '../output/write-files.js';

export function traceCommand(world: CliWorld): Command {
  const command = new Command('trace').description(
    'What every worker of a running server did last, for Perfetto or chrome://tracing.',
  );
  return addServerFlags(command)
    .requiredOption('--out <file>', 'where to write the trace')
    .action(async (flags: ServerFlags & { readonly out: string }) => {
      const trace = await askServer<ChromeTrace>('/debug/trace', flags, world);
      writeTextFile(flags.out, JSON.stringify(trace));
      world.stdout.write(
        `${trace.traceEvents.length} events in ${flags.out}; open it in https://ui.perfetto.dev\n`,
      );
    });
}

export function pipelineCommand(world: CliWorld): Command {
  const command = new Command('pipeline').description(
    'The newest steps of a running server in numbers: times, bubbles and their causes, imbalance.',
  );
  return addServerFlags(command)
    .option('--json', 'print one JSON document')
    .action(async (flags: ServerFlags) => {
      const numbers = await askServer<PipelineNumbers>('/debug/pipeline', flags, world);
      const text = flags.json === true ? `${JSON.stringify(numbers)}\n` : pipelineText(numbers);
      world.stdout.write(text);
    });
}

/** Formats the figures of the pipeline for people. Exported for the test. */
export function pipelineText(numbers: PipelineNumbers): string {
  const { attentionUs, expertUs, linkUs, exposedCommunication } = numbers;
  const us = (value: number | undefined): string =>
    value === undefined ? 'unknown' : `${value.toFixed(1)} µs`;
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  return [
    `T_a ${us(attentionUs)}, T_e ${us(expertUs)}, T_c ${us(linkUs)} (medians; one micro-batch, one layer)`,
    `exposed communication ${percent(exposedCommunication)}; busiest over mean: attention ${numbers.attentionImbalance.toFixed(2)}, experts ${numbers.expertImbalance.toFixed(2)}`,
    ...numbers.workers.map(({ role, rank, busyUs, windowUs, bubbles }) => {
      const busy = percent(windowUs > 0 ? busyUs / windowUs : 0);
      return `${role} worker ${rank}: busy ${busy}; waits for experts ${percent(bubbles.experts)}, attention ${percent(bubbles.attention)}, link ${percent(bubbles.link)}, nothing to do ${percent(bubbles.idle)}`;
    }),
    '',
  ].join('\n');
}
