import { BackendError } from '../errors.js';
import { greatestLogit } from './greatest-logit.js';
import { kthLargest } from './kth-largest.js';
import { Likeliest } from './likeliest.js';
import { positionRandom } from './position-random.js';
import type { ResolvedSampling } from './resolve-sampling.js';
import { TopPCut } from './top-p-cut.js';

export interface ChosenToken {
  readonly tokenId: number;
  /**
   * Natural logarithm of its probability under the model, temperature 1 and nothing cut. Where it
   * was asked for.
   */
  readonly logprob?: number;
  /** The likeliest tokens, best first, ties by id. Where logprobs were asked for. */
  readonly top?: readonly TokenLogprob[];
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

/**
 * Chooses tokens from logits. The order of the rules: logits / temperature; the topK likeliest; of
 * these, renormalized, the fewest whose probabilities reach topP; of these the ones at least minP
 * times as likely as the likeliest; then one of the rest by its share. Ties count for the lower id
 * throughout. Temperature 0 takes the likeliest.
 *
 * All sums are f64 in a fixed order and the random number depends on (seed, position) alone, so
 * equal logits give equal tokens. A sampler reuses its memory: one per thread, sized once for a
 * vocabulary.
 */
export class Sampler {
  readonly #vocabSize: number;
  readonly #likeliest: Likeliest;
  /** Tokens that may be chosen, and their weights. */
  readonly #kept: Int32Array;
  readonly #weights: Float64Array;
  readonly #topPCut: TopPCut;
  readonly #heap: Float32Array;
  readonly #words = new Uint32Array(4);

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#likeliest = new Likeliest(vocabSize);
    this.#topPCut = new TopPCut(this.#likeliest);
    this.#kept = new Int32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
    this.#heap = new Float32Array(vocabSize);
  }

  /**
   * @param logits [vocabSize], only read.
   * @param position Place in the sequence of the token to choose: tokens before it.
   * @param logprobCount How many of the likeliest tokens to report; absent = no logprobs at all, 0
   * = the chosen one's.
   * @throws BackendError 'ERR_DEVICE' when a logit is not finite, 'ERR_SHAPE' for another
   * vocabulary's logits.
   */
  choose(
    logits: Float32Array,
    sampling: ResolvedSampling,
    position: number,
    logprobCount?: number,
  ): ChosenToken {
    const best = this.#best(logits);
    const tokenId =
      sampling.temperature === 0 ? best : this.#draw(logits, best, sampling, position);
    if (logprobCount === undefined) return { tokenId };
    return { tokenId, ...this.#logprobs(logits, best, tokenId, logprobCount) };
  }

  /** The lowest id of the highest logit; checks every logit. */
  #best(logits: Float32Array): number {
    if (logits.length !== this.#vocabSize) {
      throw new BackendError('ERR_SHAPE', {
        message: `Expected ${this.#vocabSize} logits, found ${logits.length}. Give one row.`,
        details: { expected: this.#vocabSize, found: logits.length },
      });
    }
    return greatestLogit(logits);
  }

  #draw(logits: Float32Array, best: number, sampling: ResolvedSampling, position: number): number {
    const { temperature, topP, minP, seed } = sampling;
    const max = logits[best] ?? 0;
    const weights = this.#weights;
    const kept = this.#kept;
    const total = this.#weigh(logits, max, sampling);
    const count =
      topP < 1
        ? this.#topPCut.keep({ logits, max, temperature, topP, weights, total, kept })
        : this.#keepAll();
    return this.#pick(this.#keepMinP(count, minP), positionRandom(seed, position, this.#words));
  }

  /** Weighs every token relative to the likeliest, 0 outside the topK; their sum. */
  #weigh(logits: Float32Array, max: number, { temperature, topK }: ResolvedSampling): number {
    const isCut = topK > 0 && topK < this.#vocabSize;
    const border = isCut ? kthLargest(logits, topK, this.#heap) : -Infinity;
    let tiesLeft = isCut ? topK - countAbove(logits, border) : 0;
    let total = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] ?? 0;
      const isKept = logit > border || (logit === border && tiesLeft-- > 0);
      const weight = isKept ? Math.exp((logit - max) / temperature) : 0;
      this.#weights[id] = weight;
      total += weight;
    }
    return total;
  }

  #keepAll(): number {
    for (let id = 0; id < this.#vocabSize; id++) this.#kept[id] = id;
    return this.#vocabSize;
  }

  /**
   * Drops kept tokens that cannot be, or are less than minP as likely as the likeliest, whose
   * weight is 1.
   */
  #keepMinP(count: number, minP: number): number {
    let left = 0;
    for (let i = 0; i < count; i++) {
      const weight = this.#weights[i] ?? 0;
      if (weight === 0 || weight < minP) continue;
      this.#kept[left] = this.#kept[i] ?? 0;
      this.#weights[left++] = weight;
    }
    return left;
  }

  /** The token among the first `count` kept ones that `random` in [0, 1) falls on. */
  #pick(count: number, random: number): number {
    let total = 0;
    for (let i = 0; i < count; i++) total += this.#weights[i] ?? 0;
    const target = random * total;
    let chosen = 0;
    let sum = this.#weights[0] ?? 0;
    while (sum <= target && chosen < count - 1) {
      chosen++;
      sum += this.#weights[chosen] ?? 0;
    }
    return this.#kept[chosen] ?? 0;
  }

  #logprobs(
    logits: Float32Array,
    best: number,
    tokenId: number,
    count: number,
  ): Pick<ChosenToken, 'logprob' | 'top'> {
    const max = logits[best] ?? 0;
    const logTotal = Math.log(totalWeight(logits, max));
    const logprob = (id: number): number => (logits[id] ?? 0) - max - logTotal;
    const topCount = Math.min(count, this.#vocabSize);
    if (topCount > 0) this.#likeliest.fill(logits, kthLargest(logits, topCount, this.#heap));
    const top = Array.from({ length: topCount }, () => {
      const id = this.#likeliest.pop();
      return { tokenId: id, logprob: logprob(id) };
    });
    return { logprob: logprob(tokenId), top };
  }
}

/** Σ exp(logit − max), in order of id. */
function totalWeight(logits: Float32Array, max: number): number {
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp((logits[id] ?? 0) - max);
  return total;
}

function countAbove(logits: Float32Array, border: number): number {
  let count = 0;
  for (let id = 0; id < logits.length; id++) if ((logits[id] ?? 0) > border) count++;
  return count;
}
