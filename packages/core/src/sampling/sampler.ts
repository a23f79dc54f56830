import { BackendError } from '../errors.js';
import { kthLargest } from './kth-largest.js';
import { Likeliest } from './likeliest.js';
import { positionRandom } from './position-random.js';
import type { ResolvedSampling } from './resolve-sampling.js';

export interface ChosenToken {
  readonly tokenId: number;
  /** Natural logarithm of its probability under the model, temperature 1 and nothing cut. Where it was asked for. */
  readonly logprob?: number;
  /** The likeliest tokens, best first, ties by id. Where logprobs were asked for. */
  readonly top?: readonly TokenLogprob[];
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

/**
 * Chooses tokens from logits. The order of the rules: logits / temperature; the topK likeliest; of these, renormalised, the
 * fewest whose probabilities reach topP; of these the ones at least minP times as likely as the likeliest; then one of the rest by its
 * share. Ties count for the lower id throughout. Temperature 0 takes the likeliest.
 *
 * All sums are f64 in a fixed order and the random number depends on (seed, position) alone, so equal logits give equal
 * tokens. A sampler reuses its memory: one per thread, sized once for a vocabulary.
 */
export class Sampler {
  readonly #vocabSize: number;
  readonly #likeliest: Likeliest;
  /** Tokens that may be chosen, and their weights. */
  readonly #kept: Int32Array;
  readonly #weights: Float64Array;
  readonly #heap: Float32Array;
  readonly #words = new Uint32Array(4);

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#likeliest = new Likeliest(vocabSize);
    this.#kept = new Int32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
    this.#heap = new Float32Array(vocabSize);
  }

  /**
   * @param logits [vocabSize], only read.
   * @param position Place in the sequence of the token to choose: tokens before it.
   * @param logprobCount How many of the likeliest tokens to report; absent = no logprobs at all, 0 = the chosen one's.
   * @throws BackendError 'ERR_DEVICE' when a logit is not finite, 'ERR_SHAPE' for another vocabulary's logits.
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
    let best = 0;
    let max = -Infinity;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] ?? 0;
      if (!Number.isFinite(logit)) throw brokenLogit(id, logit);
      if (logit > max) {
        max = logit;
        best = id;
      }
    }
    return best;
  }

  #draw(logits: Float32Array, best: number, sampling: ResolvedSampling, position: number): number {
    const { topK, topP, minP } = sampling;
    const max = logits[best] ?? 0;
    const isCut = (topK > 0 && topK < this.#vocabSize) || topP < 1;
    const count = isCut
      ? this.#keepLikeliest(logits, max, sampling)
      : this.#keepAll(logits, max, sampling);
    let end = count;
    // Only a cut set is sorted; the other one was filtered when it was made.
    while (isCut && end > 1 && (this.#weights[end - 1] ?? 0) < minP) end--;
    return this.#pick(end, positionRandom(sampling.seed, position, this.#words));
  }

  /** Keeps every token at least minP as likely as the likeliest, in order of id. */
  #keepAll(logits: Float32Array, max: number, { temperature, minP }: ResolvedSampling): number {
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const weight = Math.exp(((logits[id] ?? 0) - max) / temperature);
      if (weight < minP) continue;
      this.#kept[count] = id;
      this.#weights[count++] = weight;
    }
    return count;
  }

  /** Keeps what topK and topP leave, best first. Weights are relative to the likeliest token's. */
  #keepLikeliest(logits: Float32Array, max: number, sampling: ResolvedSampling): number {
    const { temperature, topK, topP } = sampling;
    const isAll = topK === 0 || topK >= this.#vocabSize;
    const total = isAll ? totalWeight(logits, max, temperature) : 0;
    this.#likeliest.fill(
      logits,
      isAll ? this.#logitMin(total, max, sampling) : kthLargest(logits, topK, this.#heap),
    );
    const countMax = isAll ? this.#likeliest.size : topK;
    const enough = isAll ? topP * total : Infinity;
    let count = 0;
    let sum = 0;
    while (count < countMax && sum < enough) {
      const id = this.#likeliest.pop();
      const weight = Math.exp(((logits[id] ?? 0) - max) / temperature);
      this.#kept[count] = id;
      this.#weights[count++] = weight;
      sum += weight;
    }
    return isAll || topP >= 1 ? count : this.#reach(topP * sum, count);
  }

  /**
   * A logit below which no token can belong to the topP set: all tokens lighter than (1 − topP) · total / vocabSize weigh less
   * than 1 − topP together. Halved, against rounding.
   */
  #logitMin(total: number, max: number, { temperature, topP }: ResolvedSampling): number {
    const weightMin = (0.5 * (1 - topP) * total) / this.#vocabSize;
    return max + temperature * Math.log(weightMin);
  }

  /** How many of the first `count` kept tokens it takes to weigh `enough`. */
  #reach(enough: number, count: number): number {
    let sum = 0;
    for (let taken = 0; taken < count; taken++) {
      sum += this.#weights[taken] ?? 0;
      if (sum >= enough) return taken + 1;
    }
    return count;
  }

  /** The token among the first `count` kept ones that `random` in [0, 1) falls on. */
  #pick(count: number, random: number): number {
    let total = 0;
    for (let i = 0; i < count; i++) total += this.#weights[i] ?? 0;
    const target = random * total;
    let sum = 0;
    let last = 0;
    for (let i = 0; i < count; i++) {
      const weight = this.#weights[i] ?? 0;
      sum += weight;
      if (weight > 0) last = i;
      if (sum > target) break;
    }
    return this.#kept[last] ?? 0;
  }

  #logprobs(
    logits: Float32Array,
    best: number,
    tokenId: number,
    count: number,
  ): Pick<ChosenToken, 'logprob' | 'top'> {
    const max = logits[best] ?? 0;
    const logTotal = Math.log(totalWeight(logits, max, 1));
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

/** Σ exp((logit − max) / temperature), in order of id. */
function totalWeight(logits: Float32Array, max: number, temperature: number): number {
  let total = 0;
  for (const logit of logits) total += Math.exp((logit - max) / temperature);
  return total;
}

function brokenLogit(tokenId: number, logit: number): BackendError {
  return new BackendError('ERR_DEVICE', {
    message: `The logit of token ${tokenId} is ${logit}: the backend computed something that is not a number. Check the checkpoint, then run the same prompt on the reference backend.`,
    details: { tokenId, logit: String(logit) },
  });
}
