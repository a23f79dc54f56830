import { paperTable, type PaperRow } from '@megascale/planner';
import { Command } from 'commander';
import type { CliWorld } from '../../world.js';

/**
 * `megascale simulate paper`: prints every known result of MegaScale-Infer's evaluation beside the
 * value of the cost model.
 */
export function simulatePaperCommand(world: CliWorld): Command {
  return new Command('paper')
    .description('The results of the MegaScale-Infer paper beside what the cost model gives.')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
One set of assumptions for all rows. "moves" is what our value becomes when one of them changes, from the least to the most.`,
    )
    .action((_flags: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ readonly json?: boolean }>();
      const rows = paperTable();
      world.stdout.write(json === true ? `${JSON.stringify({ rows })}\n` : paperText(rows));
    });
}

function paperText(rows: readonly PaperRow[]): string {
  const head = ['paper', 'ours', 'deviation', 'moves', 'result'];
  const cells = rows.map(({ name, paper, ours, unit, deviationPercent, sensitivity }) => {
    const moved = sensitivity.map((change) => change.ours);
    return [
      `${paper.toFixed(2)} ${unit}`,
      `${ours.toFixed(2)} ${unit}`,
      `${deviationPercent >= 0 ? '+' : ''}${deviationPercent.toFixed(0)} %`,
      moved.length === 0
        ? ''
        : `${Math.min(...moved).toFixed(2)} … ${Math.max(...moved).toFixed(2)}`,
      name,
    ];
  });
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const lines = [head, ...cells].map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === row.length - 1 ? cell : cell.padStart(width);
      })
      .join('  '),
  );
  const assumptions = rows.map(({ id, assumption }) => `  ${id}: ${assumption}`);
  return `${[...lines, '', 'Assumptions', ...assumptions].join('\n')}\n`;
}
