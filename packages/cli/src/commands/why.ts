import type { RequestAccount } from '@megascale/engine';
import { Command } from 'commander';
import type { CliWorld } from '../world.js';
import { addServerFlags, askServer, type ServerFlags } from '../flags/server-flags.js';

/** The parts of a request's time, in the order in which a request passes through them. */
const parts = [
  ['tokenizing', 'tokenizingUs'],
  ['queue', 'queueUs'],
  ['planning', 'planningUs'],
  ['attention', 'attentionUs'],
  ['dispatch', 'dispatchUs'],
  ['experts', 'expertsUs'],
  ['combine', 'combineUs'],
  ['sampling', 'samplingUs'],
  ['paused', 'pausedUs'],
  ['detokenizing', 'detokenizingUs'],
  ['other', 'otherUs'],
] as const;
const expertsShown = 8;

export function whyCommand(world: CliWorld): Command {
  const command = new Command('why')
    .description('Where the milliseconds of a finished request went.')
    .argument('<REQUEST_ID>', 'the id of its answer: cmpl-…, chatcmpl-…');
  return addServerFlags(command)
    .option('--json', 'print one JSON document')
    .action(async (id: string, flags: ServerFlags) => {
      const path = `/debug/requests/${encodeURIComponent(id)}`;
      const document = await askServer<WhyDocument>(path, flags, world);
      const text = document.answers.map((account) => accountText(id, account)).join('\n');
      world.stdout.write(flags.json === true ? `${JSON.stringify(document)}\n` : text);
    });
}

interface WhyDocument {
  readonly id: string;
  readonly answers: readonly RequestAccount[];
}

/** Formats the account of one answer as a table that ends in a new line. Exported for the test. */
export function accountText(id: string, account: RequestAccount): string {
  const { totalUs, promptTokens, outputTokens, steps } = account;
  const lines = parts.map(([name, field]) => {
    const us = account[field];
    const share = `${((us / Math.max(1, totalUs)) * 100).toFixed(1)} %`;
    const experts = name === 'experts' ? expertsText(account) : '';
    return `  ${name.padEnd(14)}${(us / 1000).toFixed(3).padStart(10)} ms ${share.padStart(8)}${experts}`;
  });
  const head = `${id}: ${(totalUs / 1000).toFixed(3)} ms, ${promptTokens} prompt and ${outputTokens} output tokens in ${steps} steps`;
  return [head, ...lines, ''].join('\n');
}

/** Lists the experts that took the rows: '  by expert 3: 40 %, 5: 21 %, …'. */
function expertsText({ expertRows }: RequestAccount): string {
  const total = expertRows.reduce((sum, rows) => sum + rows, 0);
  if (total === 0) return '';
  const shares = expertRows
    .map((rows, expert) => ({ rows, expert }))
    .filter(({ rows }) => rows > 0)
    .sort((a, b) => b.rows - a.rows);
  const shown = shares
    .slice(0, expertsShown)
    .map(({ rows, expert }) => `${expert}: ${((rows / total) * 100).toFixed(0)} %`);
  return `  by expert ${shown.join(', ')}${shares.length > expertsShown ? ', …' : ''}`;
}
