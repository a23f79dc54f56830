import type { BenchReport, BenchRequest } from '../suite.js';
import { prefillFigures } from '../measure/figures.js';
import { headline, reportOf, setting, smfuOf, spreadLine, spreadOver } from '../measure/report.js';
import { runRounds } from './run-rounds.js';

/**
 * How fast prompts are taken in, as a share of what the matrix unit can do: S-MFU is the model's
 * own arithmetic over the time until every sequence has its first token, over the rate of a product
 * that lies in the second-level cache.
 *
 * @throws BenchError, and what loading the model throws.
 */
export async function benchPrefill(request: BenchRequest): Promise<BenchReport> {
  const { batch, promptTokens } = request;
  const run = await runRounds({ ...request, outputTokens: 1 }, (profiles, time) =>
    prefillFigures(profiles, { ...time, promptTokens: batch * promptTokens }),
  );
  const { rounds } = run;
  const spread = {
    prefillTokensPerSecond: spreadOver(rounds, ({ main }) => main.tokensPerSecond),
    ttftMs: spreadOver(rounds, ({ main }) => main.seconds * 1000),
    smfu: spreadOver(rounds, smfuOf),
    smfuOfInstructionPeak: spreadOver(
      rounds,
      ({ main, instructionFlopsPerSecond }) =>
        main.flops / main.seconds / instructionFlopsPerSecond,
    ),
    achievedGigaflopsPerSecond: spreadOver(rounds, ({ main }) => main.flops / main.seconds / 1e9),
    peakGigaflopsPerSecond: spreadOver(rounds, (round) => round.gemmFlopsPerSecond / 1e9),
    instructionPeakGigaflopsPerSecond: spreadOver(
      rounds,
      (round) => round.instructionFlopsPerSecond / 1e9,
    ),
    bandwidthGigabytesPerSecond: spreadOver(rounds, ({ bandwidth }) => bandwidth / 1e9),
  };
  const medians = Object.fromEntries(
    Object.entries(spread).map(([name, { median }]) => [name, median]),
  );
  const steps = Math.max(...run.profiles.map((profile) => profile.steps.length));
  const last = rounds.at(-1);
  const flopsPerToken = last === undefined ? 0 : last.main.flops / last.main.tokens;
  const document = {
    benchmark: 'prefill',
    ...setting(request, run),
    steps,
    ...medians,
    instruction: run.instruction,
    flopsPerToken,
    spread,
  };
  const { info } = run.model.llm;
  const lines = [
    `prefill ${info.name}: batch ${String(batch)}, ${String(promptTokens)} prompt tokens each, ${String(steps)} step${steps === 1 ? '' : 's'}, ${String(request.runs)} runs`,
    headline(info, run.threads),
    '',
    `${''.padEnd(28)}${'median'.padStart(10)}         (min … max)`,
    spreadLine('prompt tokens per second', spread.prefillTokensPerSecond, 1),
    spreadLine('TTFT', spread.ttftMs, 2, ' ms'),
    spreadLine('S-MFU', spread.smfu, 3),
    spreadLine('arithmetic', spread.achievedGigaflopsPerSecond, 1, ' GFLOP/s'),
    spreadLine('resident product', spread.peakGigaflopsPerSecond, 1, ' GFLOP/s'),
    spreadLine(run.instruction, spread.instructionPeakGigaflopsPerSecond, 1, ' GFLOP/s'),
    spreadLine('share of the instruction', spread.smfuOfInstructionPeak, 3),
  ];
  return reportOf(request, run, { document, lines });
}
