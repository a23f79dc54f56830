import type { BenchReport, LoadBenchRequest } from '../suite.js';
import { LLM } from '@megascale/engine';
import { totalThreads } from './bench-model.js';
import { Bounds } from '../measure/bounds.js';
import { workerMemory } from '../measure/process-memory.js';
import { spreadLine } from '../measure/report.js';
import { spreadOf } from '../measure/spread.js';

/**
 * How long loading takes, against copying the same bytes with the same threads, in turns. Loading
 * is from the call to a model that takes requests, processes and all; the first load, which also
 * fills the page cache, is not counted.
 */
export async function benchLoad(request: LoadBenchRequest): Promise<BenchReport> {
  const { directory, options, runs, clock, signal, onProgress } = request;
  let weightBytes = 0;
  let memory: ReturnType<typeof workerMemory> = [];
  let backend = { backend: 'cpu', isa: '' };
  const loadOnce = async (): Promise<number> => {
    signal?.throwIfAborted();
    const startUs = clock.nowUs();
    const llm = await LLM.load(directory, options);
    const seconds = (clock.nowUs() - startUs) / 1e6;
    try {
      memory = workerMemory(await llm.profile());
      weightBytes = memory.reduce((sum, worker) => sum + worker.weightBytes, 0);
      backend = llm.info;
    } finally {
      await llm.close();
    }
    return seconds;
  };
  onProgress?.('loading once, to fill the page cache');
  await loadOnce();
  const threads = totalThreads({ options });
  const bounds = await Bounds.open({ ...backend, threads, byteLength: weightBytes });
  const rounds: { load: number; fresh: number; touched: number }[] = [];
  try {
    for (let run = 1; run <= runs; run += 1) {
      onProgress?.(`run ${String(run)} of ${String(runs)}`);
      const { freshUs, touchedUs } = bounds.machine.copyTime(weightBytes);
      rounds.push({ load: await loadOnce(), fresh: freshUs / 1e6, touched: touchedUs / 1e6 });
    }
  } finally {
    bounds.close();
  }
  const spread = {
    loadSeconds: spreadOf(rounds.map(({ load }) => load)),
    copySeconds: spreadOf(rounds.map(({ fresh }) => fresh)),
    copyTouchedSeconds: spreadOf(rounds.map(({ touched }) => touched)),
    loadOverCopy: spreadOf(rounds.map(({ load, fresh }) => load / fresh)),
    loadOverCopyTouched: spreadOf(rounds.map(({ load, touched }) => load / touched)),
  };
  const medians = Object.fromEntries(
    Object.entries(spread).map(([name, { median }]) => [name, median]),
  );
  const lines = [
    `load ${directory}: ${(weightBytes / 1e9).toFixed(3)} GB of weights, ${String(threads)} threads in all, ${String(runs)} runs`,
    '',
    `${''.padEnd(28)}${'median'.padStart(10)}         (min … max)`,
    spreadLine('load', spread.loadSeconds, 3, ' s'),
    spreadLine('copy to fresh memory', spread.copySeconds, 3, ' s'),
    spreadLine('copy to touched memory', spread.copyTouchedSeconds, 3, ' s'),
    spreadLine('load over fresh copy', spread.loadOverCopy, 2),
    spreadLine('load over touched copy', spread.loadOverCopyTouched, 2),
  ];
  return {
    document: { benchmark: 'load', threads, runs, weightBytes, memory, ...medians, spread },
    text: lines.map((line) => `${line}\n`).join(''),
  };
}
