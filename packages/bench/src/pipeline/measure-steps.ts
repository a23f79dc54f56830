import type { LlmOptions, WorkerProfile } from '@megascale/engine';
import { BenchModel } from '../model/bench-model.js';
import { decodeWindow, isWithin } from '../model/decode-window.js';
import { percentile } from '../measure/spread.js';
import { randomPrompts } from '../model/random-prompts.js';

export interface StepsRequest {
  readonly directory: string;
  readonly options: LlmOptions;
  /** [sequences] prompt tokens of each. */
  readonly promptTokens: readonly number[];
  readonly outputTokens: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

/** What the decode steps of one deployment took, in microseconds. */
export interface MeasuredSteps {
  /** From one step's end to the next: median, and the slowest but one in a hundred. */
  readonly stepUs: number;
  readonly stepP99Us: number;
  /** What an attention worker does in a step besides waiting for answers. */
  readonly attentionBusyUs: number;
  /** What an expert worker computes in a step; undefined where its backend does not count. */
  readonly expertBusyUs: number | undefined;
  readonly tokensPerSecond: number;
  /** [attention workers] */
  readonly stepUsByRank: readonly number[];
}

/** Loads a deployment, warms it up and measures its decode steps. */
export async function measureSteps(request: StepsRequest): Promise<MeasuredSteps> {
  const { promptTokens, outputTokens, seed, signal } = request;
  const shape = {
    batch: promptTokens.length,
    promptTokens: Math.max(...promptTokens),
    outputTokens,
  };
  const model = await BenchModel.load(request.directory, request.options, shape);
  try {
    const { vocabSize } = model.llm.info;
    const prompts = promptTokens.flatMap((tokens, index) =>
      randomPrompts({ count: 1, tokens, vocabSize, seed: seed + index }),
    );
    await model.run(prompts, 2, signal);
    await model.record();
    await model.run(prompts, outputTokens, signal);
    return stepsOf(await model.takeProfiles());
  } finally {
    await model.close();
  }
}

function stepsOf(profiles: readonly WorkerProfile[]): MeasuredSteps {
  const window = decodeWindow(profiles);
  const attention = profiles.filter(({ role }) => role === 'attention');
  const busy = attention.flatMap(({ steps }) =>
    steps
      .filter(({ endUs }) => endUs > window.startUs && endUs <= window.endUs)
      .map(({ startUs, endUs, waitUs }) => endUs - startUs - waitUs),
  );
  const stepUs = percentile(window.stepTimesUs, 50);
  return {
    stepUs,
    stepP99Us: percentile(window.stepTimesUs, 99),
    attentionBusyUs: percentile(busy, 50),
    expertBusyUs: expertBusyUs(profiles, window, stepUs),
    tokensPerSecond: window.tokensPerSecond,
    stepUsByRank: attention.map((profile) => percentile(decodeWindow([profile]).stepTimesUs, 50)),
  };
}

/** Per step, of the busiest expert worker: what its ops took of the window, as a part of it. */
function expertBusyUs(
  profiles: readonly WorkerProfile[],
  window: { readonly startUs: number; readonly endUs: number },
  stepUs: number,
): number | undefined {
  const stages = profiles.flatMap(({ role, stages: all }) => (role === 'expert' ? all : []));
  if (stages.length === 0) return undefined;
  const busy = stages.map(({ records }) =>
    records.filter(isWithin(window)).reduce((sum, { startUs, endUs }) => sum + endUs - startUs, 0),
  );
  return (Math.max(...busy) / (window.endUs - window.startUs)) * stepUs;
}
