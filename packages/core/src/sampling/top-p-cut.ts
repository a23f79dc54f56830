import type { Likeliest } from './likeliest.js';

/** Bands of logits whose weights are summed before anything is put in order. */
const bandCount = 1024;

export interface TopPCutInput {
  /** [vocabSize] */
  readonly logits: Float32Array;
  /** The highest logit. */
  readonly max: number;
  readonly temperature: number;
  /** Below 1. */
  readonly topP: number;
  /**
   * By token id: exp((logit − max) / temperature), or 0 for tokens out of the question. The weights
   * of the kept tokens replace them.
   */
  readonly weights: Float64Array;
  /** Their sum. */
  readonly total: number;
  /** Receives the kept tokens. */
  readonly kept: Int32Array;
}

/**
 * Cuts a whole vocabulary down to the fewest likeliest tokens whose weights reach topP of the
 * total, without sorting it: weights are summed by bands of logits, whole bands are taken from the
 * top, and only the band in which the cut falls is put in order. So a flat distribution costs about
 * as much as a steep one.
 */
export class TopPCut {
  readonly #bands = new Float64Array(bandCount);
  readonly #likeliest: Likeliest;

  /** @param likeliest Scratch. */
  constructor(likeliest: Likeliest) {
    this.#likeliest = likeliest;
  }

  /**
   * How many tokens are kept: `kept` and `weights` hold them, first those of whole bands by id,
   * then the others best first.
   */
  keep(input: TopPCutInput): number {
    const { logits, max, temperature, topP, weights, total, kept } = input;
    // All tokens lighter than (1 − topP) · total / vocabSize weigh less than 1 − topP together;
    // halved, against rounding.
    const weightMin = (0.5 * (1 - topP) * total) / logits.length;
    const bandsPerLogit = bandCount / (-temperature * Math.log(weightMin));
    const bandOf = (logit: number): number =>
      Math.min(bandCount - 1, Math.floor((max - logit) * bandsPerLogit));
    const enough = topP * total;
    const { band, sum: sumAbove } = this.#cutBand(input, weightMin, enough, bandOf);
    this.#likeliest.start(logits);
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const weight = weights[id] ?? 0;
      if (weight < weightMin) continue;
      const own = bandOf(logits[id] ?? 0);
      if (own > band) continue;
      if (own === band) {
        this.#likeliest.add(id);
        continue;
      }
      // count ≤ id: what is overwritten was read.
      kept[count] = id;
      weights[count++] = weight;
    }
    for (let sum = sumAbove; sum < enough && this.#likeliest.size > 0; count++) {
      const id = this.#likeliest.pop();
      const weight = Math.exp(((logits[id] ?? 0) - max) / temperature);
      kept[count] = id;
      weights[count] = weight;
      sum += weight;
    }
    return count;
  }

  /** The band in which the weights, from the top, reach `enough`, and their sum before it. */
  #cutBand(
    { logits, weights }: TopPCutInput,
    weightMin: number,
    enough: number,
    bandOf: (logit: number) => number,
  ): { band: number; sum: number } {
    const bands = this.#bands.fill(0);
    for (let id = 0; id < logits.length; id++) {
      const weight = weights[id] ?? 0;
      if (weight < weightMin) continue;
      const band = bandOf(logits[id] ?? 0);
      bands[band] = (bands[band] ?? 0) + weight;
    }
    let sum = 0;
    for (let band = 0; band < bandCount - 1; band++) {
      const next = sum + (bands[band] ?? 0);
      if (next >= enough) return { band, sum };
      sum = next;
    }
    return { band: bandCount - 1, sum };
  }
}
