import { medianOf } from '@megascale/planner';
import type { MeasuredDeployment, MeasuredRun } from './measured-deployment.js';

/** [batches] what experts and edges take of a step of the probe, in microseconds. */
export type ProbeReading = readonly number[];

/**
 * How fast the machine is now. A shared machine's clock and memory change within minutes, by more
 * than what is to be predicted; so a resident colocated deployment of the same model runs a few
 * steps before and after whatever is measured.
 */
export class PaceProbe {
  readonly #deployment: MeasuredDeployment;
  readonly #batches: readonly number[];
  readonly #layerCount: number;

  constructor(
    deployment: MeasuredDeployment,
    options: { readonly batches: readonly number[]; readonly layerCount: number },
  ) {
    this.#deployment = deployment;
    this.#batches = options.batches;
    this.#layerCount = options.layerCount;
  }

  async read(): Promise<ProbeReading> {
    const reading: number[] = [];
    for (const batch of this.#batches) {
      const run = await this.#deployment.run({ batch, promptTokens: 4, outputTokens: 7 });
      reading.push(stepUs(run, this.#layerCount));
    }
    return reading;
  }
}

/**
 * Experts and edges, whose threads seldom wait for each other: a wait is as long as another program
 * makes it, whatever the pace.
 */
function stepUs({ expert, edge }: MeasuredRun, layerCount: number): number {
  const us = (samples: readonly { readonly us: number }[]): number =>
    medianOf(samples.map((sample) => sample.us));
  return layerCount * us(expert) + us(edge);
}

/**
 * How much longer steps took around a run than at the reference: the geometric mean over readings
 * and batches.
 */
export function paceOf(around: readonly ProbeReading[], reference: ProbeReading): number {
  const logs = around.flatMap((reading) =>
    reading.map((us, batch) => Math.log(us / (reference[batch] ?? us))),
  );
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / Math.max(1, logs.length));
}
