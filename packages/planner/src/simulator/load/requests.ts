import { ConfigError } from '@megascale/core';
import { RandomStream } from '../random-stream.js';
import { checkLengths, drawLength, type TokenLengths } from './token-lengths.js';

/** One request of a workload. */
export interface SimulatedRequest {
  readonly arrivalUs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/**
 * How requests come. 'poisson': independently of each other. 'bursty': times between arrivals are
 * gamma distributed with this coefficient of variation, so that a few come close together and then
 * none for long; 1 would be Poisson.
 */
export type Arrivals =
  | { readonly type: 'poisson' }
  | { readonly type: 'bursty'; readonly coefficientOfVariation: number };

export interface Workload {
  readonly requestsPerSecond: number;
  readonly durationS: number;
  readonly arrivals: Arrivals;
  readonly lengths: TokenLengths;
  readonly seed: number;
}

/** Requests that one simulation of an instance takes. */
export const requestsMax = 10_000_000;

/**
 * The requests of a workload in the order of their arrival; the same workload gives the same ones.
 * Lengths do not depend on arrivals: workloads that differ only in their rate bring the same
 * requests at other times.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD'.
 */
export function* drawRequests(workload: Workload): Generator<SimulatedRequest, void, undefined> {
  checkWorkload(workload);
  const { requestsPerSecond, durationS, arrivals, lengths, seed } = workload;
  const times = new RandomStream(seed, 0);
  const sizes = new RandomStream(seed, 1);
  const meanGapUs = 1e6 / requestsPerSecond;
  const variation = arrivals.type === 'bursty' ? arrivals.coefficientOfVariation : 1;
  const shape = 1 / (variation * variation);
  const gap = (): number =>
    arrivals.type === 'poisson' ? times.exponential() : times.gamma(shape) / shape;
  for (let arrivalUs = gap() * meanGapUs; arrivalUs < durationS * 1e6;) {
    const promptTokens = drawLength(lengths.prompt, sizes);
    yield { arrivalUs, promptTokens, outputTokens: drawLength(lengths.output, sizes) };
    arrivalUs += gap() * meanGapUs;
  }
}

function checkWorkload({ requestsPerSecond, durationS, arrivals, lengths }: Workload): void {
  if (!(requestsPerSecond > 0) || !(durationS > 0) || durationS > 31_536_000) {
    refuse('durationS', `${requestsPerSecond} requests a second for ${durationS} s`);
  }
  if (requestsPerSecond * durationS > requestsMax) {
    refuse('durationS', `${requestsPerSecond * durationS} requests, of ${requestsMax} at most`);
  }
  checkLengths(lengths);
  if (arrivals.type !== 'bursty') return;
  const { coefficientOfVariation: variation } = arrivals;
  if (variation >= 0.05 && variation <= 20) return;
  refuse('arrivals', `a coefficient of variation of ${variation}, of 0.05 to 20`);
}

function refuse(path: string, finding: string): never {
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Workload: ${finding}. Give a positive rate and a shorter time.`,
    details: { path },
  });
}
