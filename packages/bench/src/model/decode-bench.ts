import type { BenchReport, BenchRequest } from '../suite.js';
import { BenchError } from '../bench-error.js';
import { decodeFigures } from '../measure/figures.js';
import {
  headline,
  reportOf,
  setting,
  smbuOf,
  smfuOf,
  spreadLine,
  spreadOver,
} from '../measure/report.js';
import { runRounds } from './run-rounds.js';
import { percentile } from '../measure/spread.js';

const outputTokensMin = 4;

/**
 * How fast one token after the other comes, as a share of what the memory can deliver: S-MBU is
 * weights, keys and values touched (each expert that has rows, in every call), over the time, over
 * the read bandwidth.
 *
 * @throws BenchError, and what loading the model throws.
 */
export async function benchDecode(request: BenchRequest): Promise<BenchReport> {
  const { outputTokens } = request;
  if (outputTokens < outputTokensMin) {
    throw new BenchError(
      `Decode needs steps to measure: ask for at least ${String(outputTokensMin)} output tokens, not ${String(outputTokens)}.`,
    );
  }
  const run = await runRounds(request, (profiles) => decodeFigures(profiles));
  const { rounds } = run;
  const times = rounds.flatMap(({ main }) => main.timesMs);
  const tpotMs = { p50: percentile(times, 50), p99: percentile(times, 99) };
  const spread = {
    tokensPerSecond: spreadOver(rounds, ({ main }) => main.tokensPerSecond),
    tpotMs: spreadOver(rounds, ({ main }) => percentile(main.timesMs, 50)),
    smbu: spreadOver(rounds, smbuOf),
    smfu: spreadOver(rounds, smfuOf),
    bandwidthGigabytesPerSecond: spreadOver(rounds, ({ bandwidth }) => bandwidth / 1e9),
    achievedGigabytesPerSecond: spreadOver(rounds, ({ main }) => main.bytes / main.seconds / 1e9),
    peakGigaflopsPerSecond: spreadOver(rounds, (round) => round.gemmFlopsPerSecond / 1e9),
    instructionPeakGigaflopsPerSecond: spreadOver(
      rounds,
      (round) => round.instructionFlopsPerSecond / 1e9,
    ),
  };
  const bytesPerStep = spreadOver(rounds, ({ main }) => main.bytes / main.window.steps).median;
  const flopsPerStep = spreadOver(rounds, ({ main }) => main.flops / main.window.steps).median;
  const document = {
    benchmark: 'decode',
    ...setting(request, run),
    outputTokens,
    tokensPerSecond: spread.tokensPerSecond.median,
    tpotMs,
    smbu: spread.smbu.median,
    smfu: spread.smfu.median,
    bandwidthGigabytesPerSecond: spread.bandwidthGigabytesPerSecond.median,
    achievedGigabytesPerSecond: spread.achievedGigabytesPerSecond.median,
    peakGigaflopsPerSecond: spread.peakGigaflopsPerSecond.median,
    instructionPeakGigaflopsPerSecond: spread.instructionPeakGigaflopsPerSecond.median,
    instruction: run.instruction,
    bytesPerStep,
    flopsPerStep,
    spread,
  };
  const { info } = run.model.llm;
  const lines = [
    `decode ${info.name}: batch ${String(request.batch)}, ${String(request.promptTokens)} prompt and ${String(outputTokens)} output tokens, ${String(request.runs)} runs`,
    headline(info, run.threads),
    '',
    `${''.padEnd(28)}${'median'.padStart(10)}         (min … max)`,
    spreadLine('tokens per second', spread.tokensPerSecond, 1),
    spreadLine('TPOT p50', spread.tpotMs, 3, ' ms'),
    `${'TPOT p99, all runs'.padEnd(28)}${tpotMs.p99.toFixed(3).padStart(10)} ms`,
    spreadLine('S-MBU', spread.smbu, 3),
    spreadLine('bytes touched', spread.achievedGigabytesPerSecond, 2, ' GB/s'),
    spreadLine('read bandwidth', spread.bandwidthGigabytesPerSecond, 2, ' GB/s'),
    `${'bytes touched per step'.padEnd(28)}${(bytesPerStep / 1e6).toFixed(1).padStart(10)} MB`,
    spreadLine('S-MFU', spread.smfu, 4),
    `${'fork and join'.padEnd(28)}${run.forkJoin.spinningUs.toFixed(2).padStart(10)} µs     (after a pause ${run.forkJoin.parkedUs.toFixed(1)} µs)`,
  ];
  return reportOf(request, run, { document, lines });
}
